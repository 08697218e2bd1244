"""A report for a person: on a terminal, and as Markdown with caveats first and commands last."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as RichTable

from bench.reporting.report import Report, Table

CAVEATS = """\
One shared machine that drifts by half within seconds: read the ratios, which are medians over rounds in which all
took their turns, with the smallest and the largest in brackets; read nothing below 30 %. A goal is "not decided" where
its range has the goal in it, where fewer than three rounds leave 30 % open, or where the data were smaller than the
goal asks for; the range is that of one run, and another run may be outside of it. Processor time for a contribution
moves less than rates do on a busy machine, but by a third from one run to the next. The server, with its database if it
has one, is on one core, the load generator on another, both on loopback; what is not being measured is suspended.
Every contribution is on disk before it is answered, in the peers too (`synchronous_commit = on`, `appendfsync always`),
and the echoes only decode and encode. Pulling the plug was not tested."""

_GOAL_COLUMNS = ("goal", "wanted", "measured", "")


def show(report: Report, console: Console | None = None) -> None:
    """Prints a report; tables are as wide as they need to be where the output is no terminal."""
    screen = console or Console()
    if not screen.is_terminal:
        screen = Console(file=screen.file, width=160)
    screen.print(report.question, style="bold", highlight=False)
    for table in (*report.tables, _goals(report)):
        if table.rows:
            _print_table(screen, table)
    for note in report.notes:
        screen.print(f"note: {note}", highlight=False, markup=False)


def _print_table(screen: Console, table: Table) -> None:
    drawn = RichTable(title=table.title, title_justify="left")
    for place, column in enumerate(table.columns):
        drawn.add_column(column, justify="right" if place else "left")
    for row in table.rows:
        drawn.add_row(*row)
    screen.print(drawn)


def _goals(report: Report) -> Table:
    rows = tuple((goal.name, goal.wish, goal.measured, goal.verdict) for goal in report.goals)
    return Table("Goals", _GOAL_COLUMNS, rows)


def markdown(reports: Sequence[Report]) -> str:
    """All reports as the README shows them: caveats, figures, and the commands that made them."""
    facts = ", ".join(f"{name} {value}" for name, value in reports[0].facts.items())
    parts = [CAVEATS, f"Machine: {facts}."]
    goals = tuple(
        (report.name, *row) for report in reports for row in _goals(report).rows or _failed(report)
    )
    parts.append(_markdown_table(Table("", ("bench", *_GOAL_COLUMNS), goals)))
    for report in reports:
        parts += [f"**{report.name}.** {report.question}"]
        parts += [f"{table.title}\n\n{_markdown_table(table)}" for table in report.tables]
        if report.notes:
            parts.append("\n".join(f"- {note}" for note in report.notes))
    commands = "\n".join(report.command for report in reports)
    parts.append(f"```sh\n{commands}\n```")
    return "\n\n".join(parts) + "\n"


def _failed(report: Report) -> tuple[tuple[str, ...], ...]:
    """In the place of the goals of a bench that came to nothing."""
    why = " ".join(report.notes[-1:]).replace("|", "/")
    return () if report.tables else ((why, "", "", "failed"),)


def _markdown_table(table: Table) -> str:
    lines = [table.columns, tuple("---" for _ in table.columns), *table.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
