"""`python -m bench` lists the benches with their questions; `python -m bench NAME …` runs one.

A bench is a file beside this one whose docstring begins with a question. Called by its own name
(`python bench/NAME.py`) it does the same.
"""

import ast
import os
import sys
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent


def benches() -> dict[str, Path]:
    """All benches, by name."""
    files = sorted(_FOLDER.glob("*.py"))
    return {file.stem: file for file in files if question(file).endswith("?")}


def question(file: Path) -> str:
    """The first line of a bench's docstring."""
    return (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0]


def main(arguments: list[str]) -> int:
    """Lists, or becomes the bench that was named; returns the exit code of a list or of a wrong call."""
    found = benches()
    if not arguments or arguments[0] in ("-h", "--help"):
        for name, file in found.items():
            print(f"{name:10} {question(file)}")
        return 0
    name = arguments[0]
    if name not in found:
        print(f"no bench {name!r}; there are: {', '.join(found)}", file=sys.stderr)
        return 2
    sys.stdout.flush()
    command = [sys.executable, str(found[name]), *arguments[1:]]
    return os.execv(sys.executable, command)  # noqa: S606 - the same as calling the file itself


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
