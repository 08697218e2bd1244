"""What the demo shows: a live screen on a terminal, a line a second elsewhere, and the summary at the end.

Owns words and layout; it reads the tally and the view, and changes neither.
"""

import shlex
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from jackpotd.cli.demo_readings import Commits, Instance, View
from jackpotd.cli.demo_tally import Tally, Win
from jackpotd.cli.demo_traffic import CONNECTIONS

LIVE_INTERVAL_S = 0.4
PLAIN_INTERVAL_S = 1.0
RATE_WINDOW_S = 3.0
WIDE_COLUMNS = 110
WINS_LINES_MIN = 1
FIGURES_LINES = 4
HEADER_LINES = 2
_LABEL_COLUMNS = 15


class Figures:
    """What changes from one picture to the next: contributions per second, and the commits of the same time."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int, Commits]] = deque()
        self.rate = 0.0
        self.commits = Commits()

    def mark(self, tally: Tally, commits: Commits) -> None:
        now_s, answered = tally.active_s, tally.answered
        self._marks.append((now_s, answered, commits))
        while self._marks[0][0] < now_s - RATE_WINDOW_S and len(self._marks) > 2:
            self._marks.popleft()
        then_s, before, earlier = self._marks[0]
        if now_s > then_s:
            self.rate = (answered - before) / (now_s - then_s)
            self.commits = commits.since(earlier)
        else:  # the first picture: all that there is
            self.rate, self.commits = tally.rate, commits


class Screen(Protocol):
    """Where a run is watched."""

    interval_s: float

    def show(self, tally: Tally, view: View) -> None: ...


@contextmanager
def screen_on(console: Console) -> Iterator[Screen]:
    """The live screen where the output is a terminal that can show it, else plain lines."""
    if not console.file.isatty() or console.is_dumb_terminal:
        yield PlainLines()
        return
    with Live(console=console, auto_refresh=False, transient=True, redirect_stderr=False) as live:
        yield LiveScreen(live)


class PlainLines:
    """One line for each interval, and one for its highest win."""

    interval_s = PLAIN_INTERVAL_S

    def __init__(self) -> None:
        self._figures = Figures()
        self._wins = 0

    def show(self, tally: Tally, view: View) -> None:
        self._figures.mark(tally, view.commits)
        new, self._wins = tally.wins - self._wins, tally.wins
        click.echo(
            f"{tally.active_s:7.1f} s  {_line(tally, self._figures)}{_highest(tally, view, new)}"
        )


def _line(tally: Tally, figures: Figures) -> str:
    p50, p99 = tally.latencies.recent_quantiles_s(0.5, 0.99)
    parts = [
        f"{tally.answered:,} contributions",
        f"{figures.rate:,.0f}/s",
        f"p50 {_ms(p50)}",
        f"p99 {_ms(p99)}",
        f"{figures.commits.mean_records:.1f} records a commit",
        f"{tally.wins:,} wins",
        f"paid {tally.paid:,.2f} {tally.base_currency}",
        f"{tally.tickets:,} tickets",
    ]
    if tally.problems:
        parts.append(f"{tally.problems:,} problems")
    return "  ".join(parts)


def _highest(tally: Tally, view: View, new: int) -> str:
    wins = list(tally.recent_wins)[-new:] if new else []
    if not wins:
        return ""
    win = max(wins, key=lambda each: each.worth)
    return f"  win: {win.player_id} {_pot_of(win, view)} {win.amount:,.2f} {win.currency}"


def _pot_of(win: Win, view: View) -> str:
    return f"{view.name_of(win.instance_id)} {win.pot_id}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


class LiveScreen:
    """Figures on top, every pot below, and the latest wins beside them, or under them where there is no room."""

    interval_s = LIVE_INTERVAL_S

    def __init__(self, live: Live) -> None:
        self._live = live
        self._figures = Figures()

    def show(self, tally: Tally, view: View) -> None:
        self._figures.mark(tally, view.commits)
        self._live.update(self._picture(tally, view), refresh=True)

    def _picture(self, tally: Tally, view: View) -> RenderableType:
        size = self._live.console.size
        figures = Panel(_figures_table(tally, self._figures), title="jackpotd demo")
        pots = _pots_table(view.instances)
        if size.width >= WIDE_COLUMNS:
            side_by_side = Table.grid(padding=(0, 3))
            side_by_side.add_row(pots, _wins_table(tally, view, pots.row_count))
            return Group(figures, side_by_side)
        room = size.height - FIGURES_LINES - 2 * HEADER_LINES - pots.row_count - 2
        return Group(figures, pots, "", _wins_table(tally, view, max(room, WINS_LINES_MIN)))


def _figures_table(tally: Tally, figures: Figures) -> Table:
    p50, p99 = tally.latencies.recent_quantiles_s(0.5, 0.99)
    commits = figures.commits
    table = Table.grid(padding=(0, 3))
    table.add_row(
        Text(f"{tally.active_s:,.0f} s", style="dim"),
        Text(f"{tally.answered:,} contributions"),
        Text(f"{figures.rate:,.0f}/s", style="bold green"),
        Text(f"p50 {_ms(p50)}  p99 {_ms(p99)}"),
    )
    table.add_row(
        Text(f"{tally.wins:,} wins", style="bold yellow"),
        Text(f"paid {tally.paid:,.2f} {tally.base_currency}", style="yellow"),
        Text(f"{tally.repeats_answered:,} repeats"),
        Text(f"commit {commits.mean_records:.1f} records, {_ms(commits.mean_s)}"),
    )
    problems = f"{tally.problems:,} problems: {tally.first_problem}" if tally.problems else ""
    if not problems:
        return table
    both = Table.grid()
    both.add_row(table)
    both.add_row(Text(problems, style="bold red", no_wrap=True, overflow="ellipsis"))
    return both


def _table() -> Table:
    return Table(box=SIMPLE_HEAD, show_edge=False, header_style="dim")


def _pots_table(instances: list[Instance]) -> Table:
    table = _table()
    for name in ("Jackpot", "Pot"):
        table.add_column(name, no_wrap=True)
    for name in ("Value", "Hits", "Paid"):
        table.add_column(name, justify="right", no_wrap=True)
    for instance in instances:
        name = (
            instance.name if instance.status == "Active" else f"{instance.name} ({instance.status})"
        )
        for index, pot in enumerate(instance.pots):
            raffle = instance.raffle
            table.add_row(
                "" if index else name,
                pot.id,
                Text(f"{pot.current_value:,.2f} {instance.currency}", style="bold"),
                f"{pot.hits:,}" if raffle is None else f"{raffle.tickets:,} tickets",
                f"{pot.wins:,.2f}",
            )
    return table


def _wins_table(tally: Tally, view: View, lines: int) -> Table:
    table = _table()
    for name in ("Latest wins", "Pot"):
        table.add_column(name, no_wrap=True)
    table.add_column("Amount", justify="right", no_wrap=True)
    for win in list(reversed(tally.recent_wins))[:lines]:
        amount = Text(f"{win.amount:,.2f} {win.currency}", style="yellow")
        table.add_row(win.player_id, _pot_of(win, view), amount)
    return table


def say_summary(tally: Tally, commits: Commits, view: View) -> None:
    """What the run was: counts, latencies, pots."""
    latencies = tally.latencies
    sent = f"{tally.sent:,} sent, {tally.answered:,} answered, {tally.refused:,} refused"
    if tally.unanswered:
        sent += f", {tally.unanswered:,} left without an answer"
    _say("contributions", sent)
    if tally.links_refused:
        _say("links", f"{tally.links_refused:,} refused by their jackpots")
    _say("opt-ins", f"{tally.opt_ins:,} taken")
    _say("repeats", f"{tally.repeats_sent:,} sent, {tally.repeats_answered:,} answered 204")
    _say("wins", f"{tally.wins:,}, paid {tally.paid:,.2f} {tally.base_currency}")
    _say("tickets", f"{tally.tickets:,} issued by raffles")
    _say("rate", f"{tally.rate:,.0f}/s for {tally.active_s:,.1f} s over {CONNECTIONS} connections")
    if latencies.count:
        p50, p99 = latencies.quantile_s(0.5), latencies.quantile_s(0.99)
        _say("latency", f"p50 {_ms(p50)}, p99 {_ms(p99)}, mean {_ms(latencies.mean_s)}")
    if commits.commits:
        each = f"{commits.mean_records:.1f} records and {_ms(commits.mean_s)} on average"
        _say("commits", f"{commits.commits:,}, each {each}")
    for instance in view.instances:
        pots = "  ".join(f"{pot.id} {pot.current_value:,.2f}" for pot in instance.pots)
        _say("", f"{instance.name}: {pots} {instance.currency}{_round_of(instance)}")


def _round_of(instance: Instance) -> str:
    raffle = instance.raffle
    if raffle is None or raffle.round is None:
        return ""
    return (
        f", round {raffle.round:,} with {raffle.tickets:,} tickets of {raffle.entrants:,} players"
    )


def say_page(url: str | None) -> None:
    """Where the same can be watched in a browser."""
    if url is not None:
        _say("page", f"{url} shows the pots live")


def say_where(data_dir: Path) -> None:
    """Where the data stay, and how they are checked again."""
    _say("data", str(data_dir))
    _say("check", f"jackpotd verify --data-dir {shlex.quote(str(data_dir))}")


def _say(label: str, text: str) -> None:
    click.echo(click.style(f"{label:<{_LABEL_COLUMNS}}", bold=True) + text)
