"""What the demo shows of a raffle: the tickets of the round that runs, where a jackpot has its hits."""

import re
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console
from rich.live import Live

from jackpotd.cli.demo_readings import Commits, Instance, Pot, Raffle, View
from jackpotd.cli.demo_screen import WIDE_COLUMNS, LiveScreen, PlainLines, say_summary
from jackpotd.cli.demo_tally import Tally, Win

WIN = Win("player_00107", "sitewide", "minor", Decimal("1234.50"), "SEK", Decimal("105.73"))


def instance(name: str, raffle: Raffle | None = None) -> Instance:
    pot = Pot("main", Decimal("1103.914"), 18, Decimal("1451.10"))
    return Instance(name.lower(), name, "EUR", "Active", 400, [pot], raffle)


VIEW = View(
    [
        instance("Sitewide"),
        instance("Daily drop"),
        instance("Daily", Raffle(round=2, tickets=1415, entrants=66)),
        instance("Weekly", Raffle()),
    ]
)


def tally() -> Tally:
    made = Tally("EUR")
    made.tickets = 1415
    made.won(WIN)
    return made


def test_live_screen_shows_tickets_beside_hits_and_fits_its_width() -> None:
    """At the narrowest width for two tables nothing of the pots or the wins is cut off."""
    output = StringIO()
    console = Console(file=output, force_terminal=True, width=WIDE_COLUMNS, height=40)
    with Live(console=console, auto_refresh=False) as live:
        LiveScreen(live).show(tally(), VIEW)
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", output.getvalue())

    assert re.search(r"Sitewide +main +1,103\.91 EUR +18 +1,451\.10 ", shown)
    assert re.search(r"Daily +main +1,103\.91 EUR +1,415 tickets +1,451\.10 ", shown)
    assert re.search(r"Weekly +main +1,103\.91 EUR +0 tickets +1,451\.10 ", shown)
    assert re.search(r"player_00107 +Sitewide minor +1,234\.50 SEK", shown)
    assert "…" not in shown


def test_plain_lines_and_the_summary_tell_of_tickets(capsys: pytest.CaptureFixture[str]) -> None:
    """The tickets that the run was answered, and those of the round that runs, if one does."""
    PlainLines().show(tally(), VIEW)
    say_summary(tally(), Commits(), VIEW)
    shown = capsys.readouterr().out

    assert "  1,415 tickets" in shown
    assert re.search(r"(?m)^tickets +1,415 issued by raffles$", shown)
    assert "Sitewide: main 1,103.91 EUR\n" in shown
    assert "Daily: main 1,103.91 EUR, round 2 with 1,415 tickets of 66 players\n" in shown
    assert "Weekly: main 1,103.91 EUR\n" in shown
