"""The report of a simulation: one HTML file with every figure and its pictures, to be opened without a network."""

from html import escape

from jackpotd import __version__
from jackpotd.core.money import SCALE
from jackpotd.simulation import charts, wording
from jackpotd.simulation.book import Book
from jackpotd.simulation.charts import Points
from jackpotd.simulation.figures import Figures
from jackpotd.simulation.pot_figures import PotFigures
from jackpotd.simulation.wording import Section

CHARTED_POTS_MAX = 12
_HISTOGRAM_MIN = 20

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #0f172a; background: #fff; }}
body {{ margin: 2rem auto; max-width: 82rem; padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; }} h2 {{ font-size: 1.15rem; margin: 2rem 0 .5rem; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem .9rem .25rem 0; text-align: right; border-bottom: 1px solid #e2e8f0; }}
th {{ color: #475569; font-weight: 600; }}
th:first-child, td:first-child {{ text-align: left; }}
table.words td {{ text-align: left; }}
.note {{ color: #475569; font-size: .9rem; }} .wide {{ overflow-x: auto; }}
.warnings li {{ margin: .3rem 0; }} .warnings code {{ color: #b45309; font-weight: 600; }}
.charts {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(30rem, 1fr)); gap: 1rem; }}
figure {{ margin: 0; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
<p class="note">jackpotd {version}</p>
</body>
</html>
"""


def page(figures: Figures, book: Book) -> str:
    """The whole file; the same figures give the same page."""
    title = f"Simulation of {figures.template.name or figures.template.id or 'a template'}"
    parts = [_warnings(figures)]
    for at, section in enumerate(wording.sections(figures)):
        parts.append(_table(section, is_words=at == 0))
        if at == 1:
            parts.append(_gallery(_overview(figures, book)))
    for at, (pot_id, pot) in enumerate(figures.pots.items()):
        if at < CHARTED_POTS_MAX:
            parts.append(f"<h2>Pot {escape(pot_id)}</h2>")
            parts.append(_gallery(_pot_charts(at, pot, figures, book)))
    if len(figures.pots) > CHARTED_POTS_MAX:
        parts.append(f'<p class="note">Pictures are of the first {CHARTED_POTS_MAX} pots.</p>')
    parts.append(_methods(figures))
    body = "\n".join(part for part in parts if part)
    return _PAGE.format(title=escape(title), body=body, version=escape(__version__))


def _warnings(figures: Figures) -> str:
    if not figures.warnings:
        return '<p class="note">No warnings.</p>'
    items = "".join(
        f"<li><code>{escape(each.code)}</code> "
        f"{escape(f'{each.pot}: ' if each.pot is not None else '')}{escape(each.message)}</li>"
        for each in figures.warnings
    )
    return f'<h2>Warnings</h2><ul class="warnings">{items}</ul>'


def _table(section: Section, *, is_words: bool) -> str:
    head = ""
    if any(section.columns):
        cells = "".join(f"<th>{escape(column)}</th>" for column in section.columns)
        head = f"<thead><tr>{cells}</tr></thead>"
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in section.rows
    )
    note = f'<p class="note">{escape(section.note)}</p>' if section.note else ""
    kind = ' class="words"' if is_words else ""
    return (
        f'<h2>{escape(section.title)}</h2><div class="wide"><table{kind}>{head}<tbody>{rows}</tbody>'
        f"</table></div>{note}"
    )


def _gallery(pictures: list[str]) -> str:
    figures = "".join(f"<figure>{picture}</figure>" for picture in pictures)
    return f'<div class="charts">{figures}</div>' if pictures else ""


def _overview(figures: Figures, book: Book) -> list[str]:
    """Returns as the simulation went on, and what the operator owed in the first life."""
    names = ("total", "growth", "seed", "community")
    series: dict[str, Points] = {name: [] for name in names}
    done = staked = 0
    paid = dict.fromkeys(names, 0.0)
    for batch in book.batches:
        done += batch.contributions
        staked += batch.staked
        paid["growth"] += batch.growth
        paid["seed"] += batch.seed
        paid["community"] += batch.community
        paid["total"] = paid["growth"] + paid["seed"] + paid["community"]
        if staked:
            for name in names:
                series[name].append((float(done), paid[name] / staked))
    found = []
    if staked:
        shown = [(name, points) for name, points in series.items() if paid[name]]
        found.append(charts.shares("Returns so far, of the base wagers", "contributions", shown))
    owed: Points = [(row[0], row[1] / SCALE) for row in book.track.rows]
    if len(owed) > 1:
        currency = figures.template.currency
        line = [("pots, reserves and withheld wins", owed)]
        found.append(charts.lines("Liability in the first life", "contributions", currency, line))
    return found


def _pot_charts(at: int, pot: PotFigures, figures: Figures, book: Book) -> list[str]:
    noted, currency = book.pots[at], figures.template.currency
    found = []
    if pot.hits >= _HISTOGRAM_MIN:
        awards = [value / SCALE for value in noted.awards]
        found.append(charts.histogram("Awards", currency, awards))
        between = [value / SCALE for value in noted.stakes]
        found.append(charts.histogram("Stake between hits", currency, between))
    rows = book.track.rows
    if len(rows) > 1:
        value: Points = [(row[0], row[2 + 2 * at] / SCALE) for row in rows]
        held: Points = [(row[0], row[3 + 2 * at] / SCALE) for row in rows]
        both = [("value", value), ("seed reserve", held)]
        found.append(charts.lines("The first life", "contributions", currency, both))
    ruin = [each for each in pot.reserve.ruin if each.trials]
    if ruin:
        simulated = [each.probability.value for each in ruin]
        series: list[tuple[str, list[float | None]]] = [
            (f"within {ruin[0].horizon_cycles} cycles, simulated", simulated)
        ]
        if ruin[0].formula is not None:
            series.append(("for ever, by formula", [each.formula for each in ruin]))
        starts = [f"{each.start_in_seeds}" for each in ruin]
        found.append(charts.bars("Ruin of the reserve", "start, in seeds", starts, series))
    return found


def _methods(figures: Figures) -> str:
    items = "".join(
        f"<li>{escape(name.replace('_', ' '))}: {escape(text)}</li>"
        for name, text in figures.methods.items()
    )
    return f'<h2>How intervals are made</h2><ul class="note">{items}</ul>'
