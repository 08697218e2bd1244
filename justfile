set quiet

[private]
default:
    just --list

# Format, lint, types, floors
[group('checks')]
check:
    ruff format --check src tests bench
    ruff check src tests bench
    mypy
    lint-imports

# Apply what the formatter and the linter can mend by themselves
[group('checks')]
fix:
    ruff format src tests bench
    ruff check --fix src tests bench

# The tests that CI runs
[group('tests')]
test *args:
    pytest {{ args }}

# Soak, load and long crash runs
[group('tests')]
test-slow *args:
    pytest -m slow {{ args }}

# A bench by its name, with its options; no name lists them
[group('bench')]
bench *args:
    python -m bench {{ args }}

# All figures and goals in one run, such as --quick: results.json and results.md in bench-results
[group('bench')]
bench-results *args:
    mkdir -p bench-results
    python -m bench results --json bench-results/results.json --markdown bench-results/results.md {{ args }}

# The server with the demo data
[group('run')]
serve *args:
    jackpotd serve --config config/jackpotd.toml {{ args }}

# Live demo: simulated players through the HTTP API
[group('run')]
demo *args:
    jackpotd demo {{ args }}

# Replay a data directory and compare
[group('run')]
verify data_dir:
    jackpotd verify --data-dir {{ data_dir }}
