"""The figures of a simulation in a terminal, or as plain text where there is none."""

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jackpotd.simulation import wording
from jackpotd.simulation.figures import Figures
from jackpotd.simulation.wording import Section

PLAIN_COLUMNS = 200


def say_figures(figures: Figures, *, elapsed_s: float, processes: int, html: Path | None) -> None:
    """Prints all tables, then the warnings."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_COLUMNS)
    for section in wording.sections(figures):
        console.print(Text(section.title, style="bold"))
        console.print(_table(section))
        if section.note:
            console.print(Text(section.note, style="dim"))
        console.print()
    for warning in wording.warnings(figures):
        code, _, message = warning.partition("  ")
        console.print(Text.assemble((code, "bold yellow"), "  ", message))
    rate = figures.simulated.offered / elapsed_s if elapsed_s else 0.0
    console.print(
        Text(
            f"{elapsed_s:,.1f} s, {rate:,.0f} contributions/s on {processes} "
            f"process{'es' if processes > 1 else ''}; again with --seed {figures.seed} --lives {figures.lives}",
            style="dim",
        )
    )
    if html is not None:
        console.print(Text(f"report: {html}", style="dim"))


def _table(section: Section) -> Table:
    is_headed = any(section.columns)
    table = Table(box=SIMPLE_HEAD, show_edge=False, show_header=is_headed, header_style="dim")
    for at, name in enumerate(section.columns):
        is_name = at == 0 or not is_headed
        table.add_column(
            name, justify="left" if is_name else "right", no_wrap=at == 0, overflow="fold"
        )
    for row in section.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
