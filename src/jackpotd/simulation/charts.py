"""Pictures of a simulation, as SVG that needs no script and no network."""

import hashlib
import math
import re
from collections.abc import Sequence

import pygal
from pygal.style import Style

_BINS = 40
_SHOWN = 0.995
_COLORS = ("#2563a8", "#d97706", "#2f855a", "#9f3a8c", "#64748b")
_STYLE = Style(
    background="transparent",
    plot_background="transparent",
    foreground="#475569",
    foreground_strong="#0f172a",
    foreground_subtle="#94a3b8",
    colors=_COLORS,
    opacity=".75",
    opacity_hover=".9",
    font_family="system-ui, sans-serif",
    label_font_size=13,
    major_label_font_size=13,
    title_font_size=17,
    legend_font_size=14,
    stroke_width=2,
    guide_stroke_color="#e2e8f0",
    major_guide_stroke_color="#cbd5e1",
)
_SHAPE = {
    "style": _STYLE,
    "width": 760,
    "height": 380,
    "js": [],
    "disable_xml_declaration": True,
    "explicit_size": False,
    "legend_at_bottom": True,
    "legend_box_size": 12,
    "margin": 16,
    "show_y_guides": True,
    "show_x_guides": False,
    "include_x_axis": True,
}

_SCRIPT = re.compile(r"<script.*?</script>", re.DOTALL)

Points = list[tuple[float, float]]


def histogram(title: str, unit: str, values: Sequence[float]) -> str:
    """How often what came; the longest half per cent is left out, so that the rest can be seen."""
    ordered = sorted(values)
    high = ordered[min(len(ordered) - 1, math.ceil(len(ordered) * _SHOWN) - 1)]
    low = ordered[0]
    width = (high - low) / _BINS or max(abs(low) / _BINS, 1.0)
    counts = [0] * _BINS
    for value in ordered:
        if value <= high:
            counts[min(_BINS - 1, int((value - low) / width))] += 1
    chart = pygal.Histogram(title=title, x_title=unit, show_legend=False, **_SHAPE)
    total = len(ordered)
    bars = [
        (count / total, low + at * width, low + (at + 1) * width) for at, count in enumerate(counts)
    ]
    chart.value_formatter = _percent
    chart.x_value_formatter = _number
    chart.add(unit, bars)
    return _svg(chart)


def lines(title: str, x_title: str, unit: str, series: Sequence[tuple[str, Points]]) -> str:
    """Something over time."""
    chart = pygal.XY(title=title, x_title=x_title, y_title=unit, show_dots=False, **_SHAPE)
    chart.value_formatter = _number
    chart.x_value_formatter = _number
    for name, points in series:
        chart.add(name, points)
    return _svg(chart)


def shares(title: str, x_title: str, series: Sequence[tuple[str, Points]]) -> str:
    """Shares over time."""
    chart = pygal.XY(title=title, x_title=x_title, show_dots=False, **_SHAPE)
    chart.value_formatter = _percent
    chart.x_value_formatter = _number
    for name, points in series:
        chart.add(name, points)
    return _svg(chart)


def bars(
    title: str,
    x_title: str,
    labels: Sequence[str],
    series: Sequence[tuple[str, list[float | None]]],
) -> str:
    """Shares beside each other."""
    chart = pygal.Bar(title=title, x_title=x_title, x_labels=list(labels), **_SHAPE)
    chart.value_formatter = _percent
    for name, values in series:
        chart.add(name, values)
    return _svg(chart)


def _svg(chart: pygal.graph.graph.Graph) -> str:
    """The picture without the script that the library adds; named by what it shows, so that it can be made again."""
    shown = repr((chart.config.title, chart.raw_series))
    chart.uuid = hashlib.blake2b(shown.encode(), digest_size=8).hexdigest()
    return _SCRIPT.sub("", str(chart.render(is_unicode=True)))


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or not value else f"{value:,.3g}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"
