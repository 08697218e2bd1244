"""The figures as tables of words, the same in the terminal and in the report."""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from jackpotd.simulation.estimates import Estimate, Interval
from jackpotd.simulation.figures import Figures
from jackpotd.simulation.pot_figures import PotFigures, Spread

NONE = "-"
_MINUTE_S, _HOUR_S, _DAY_S, _YEAR_S = 60.0, 3600.0, 86_400.0, 365.25 * 86_400


class Section(Struct, frozen=True):
    """A table: the first column names, the others are numbers; `note` explains."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""


def sections(figures: Figures) -> list[Section]:
    """All tables that have something to say."""
    found = [
        _simulated(figures),
        _returns(figures),
        _accounts(figures),
        _wins(figures),
        _spreads("Awards", figures, lambda pot: pot.award, amount),
        _spreads("Stake between hits", figures, lambda pot: pot.stake_between_hits, amount),
        _spreads("Time between hits", figures, lambda pot: pot.seconds_between_hits, duration),
        _seeds(figures),
        _ruin(figures),
        _windows(figures),
        _community(figures),
    ]
    return [section for section in found if section.rows]


def amount(value: float | None) -> str:
    """Money; what is below a cent shows its digits."""
    if value is None:
        return NONE
    return f"{value:,.2f}" if not value or abs(value) >= 0.01 else f"{value:.3g}"


def percent(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:.3%}"


def duration(seconds: float | None) -> str:
    """A time in the unit that suits it."""
    if seconds is None:
        return NONE
    for unit, name in ((_YEAR_S, "y"), (_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:,.1f} {name}"
    return f"{seconds:,.1f} s"


def with_interval(
    value: float | None, ci95: Interval | None, written: Callable[[float], str]
) -> str:
    """`9.50 (9.48 to 9.52)`."""
    if value is None:
        return NONE
    if ci95 is None:
        return written(value)
    return f"{written(value)} ({written(ci95[0])} to {written(ci95[1])})"


def _estimate(estimate: Estimate, written: Callable[[float], str]) -> str:
    return with_interval(estimate.value, estimate.ci95, written)


def _simulated(figures: Figures) -> Section:
    done, people = figures.simulated, figures.population
    currency = figures.template.currency
    owed = f"{amount(figures.liability.highest)} {currency}"
    rows = [
        ("contributions", f"{figures.contributions:,}"),
        ("lives", f"{figures.lives:,}: {figures.meaning}"),
        ("seed", str(figures.seed)),
        ("players", f"{people['players']:,}, {people['rate_per_second']:g} contributions/s"),
        ("time", duration(done.days * _DAY_S)),
        ("base wagers", f"{amount(done.stake)} {currency}, mean {amount(done.mean_stake)}"),
        ("contributed", f"{amount(done.contributed)} {currency}"),
        (
            "liability",
            f"highest {owed}, mean {_estimate(figures.liability.mean, amount)}",
        ),
    ]
    if done.jackpots_ended:
        rows.append(("ended", f"{done.jackpots_ended:,} jackpots were used up; the next one began"))
    if figures.refused:
        rows.append(("refused", ", ".join(f"{n:,} {why}" for why, n in figures.refused.items())))
    return Section(figures.template.name or "Template", ("", ""), rows)


def _returns(figures: Figures) -> Section:
    names = (
        ("total", "all"),
        ("growth", "winners, from what contributions grew"),
        ("seed", "winners, from seeds"),
        ("community", "community winners"),
    )
    rows = [
        (
            text,
            with_interval(getattr(figures.rtp, name), getattr(figures.rtp_ci95, name), percent),
        )
        for name, text in names
    ]
    of_contributed = _estimate(figures.accounts.paid_of_contributed, percent)
    return Section(
        "Returns to players, of the base wagers",
        ("", "RTP (95 %)"),
        [*rows, ("paid, of what was contributed", of_contributed)],
    )


def _accounts(figures: Figures) -> Section:
    accounts = figures.accounts
    rows = (
        ("contributed", accounts.contributed),
        ("  of it by the operator", accounts.operator_part),
        ("household", accounts.house),
        ("seeds from reserves", accounts.seeds_from_reserve),
        ("seeds from boosts", accounts.seeds_from_boost),
        ("seeds from the operator (deficit)", accounts.seeds_from_operator),
        ("initial seeds, from the operator", accounts.initial_seeds),
        ("in the pots at the end", accounts.in_pots),
        ("in the reserves at the end", accounts.in_reserves),
    )
    return Section(
        "Money, of the base wagers",
        ("", "share"),
        [(name, percent(value)) for name, value in rows if value],
    )


def _wins(figures: Figures) -> Section:
    rows = [
        (
            name,
            f"{pot.hits:,}",
            _one_in(pot.hit_frequency),
            _estimate(pot.hits_per_day, lambda value: f"{value:,.3g}"),
            with_interval(pot.mean_award, pot.mean_award_ci95, amount),
            with_interval(pot.mean_stake_between_hits, pot.mean_stake_between_hits_ci95, amount),
            percent(pot.rtp),
        )
        for name, pot in figures.pots.items()
    ]
    columns = ("pot", "hits", "one hit in", "a day", "mean award", "stake between hits", "RTP")
    return Section(
        "Wins", columns, rows, "An award is all that left the pot, community parts included."
    )


def _one_in(frequency: Estimate) -> str:
    if not frequency.value:
        return NONE
    inverse = 1 / frequency.value
    if frequency.ci95 is None or not frequency.ci95[0] > 0:
        return f"{inverse:,.1f}"
    low, high = 1 / frequency.ci95[1], 1 / frequency.ci95[0]
    return f"{inverse:,.1f} ({low:,.1f} to {high:,.1f})"


def _spreads(
    title: str,
    figures: Figures,
    chosen: Callable[[PotFigures], Spread | None],
    written: Callable[[float], str],
) -> Section:
    rows: list[tuple[str, ...]] = []
    shares: tuple[str, ...] = ()
    for name, pot in figures.pots.items():
        spread = chosen(pot)
        if spread is None:
            continue
        shares = tuple(f"{each.share:.0%}" for each in spread.quantiles)
        quantiles = [with_interval(each.value, each.ci95, written) for each in spread.quantiles]
        rows.append((name, written(spread.lowest), *quantiles, written(spread.highest)))
    return Section(title, ("pot", "lowest", *shares, "highest"), rows)


def _seeds(figures: Figures) -> Section:
    rows = [
        (
            name,
            _estimate(pot.reserve.short, percent),
            _estimate(pot.reserve.short_from_empty, percent),
            _estimate(pot.reserve.shortfall_from_empty, amount),
            _estimate(pot.reserve.mean_collected, amount),
            amount(pot.reserve.deficit),
            f"{percent(pot.reserve.rate_per_stake)} / {percent(pot.reserve.break_even_rate)}",
        )
        for name, pot in figures.pots.items()
        if pot.reserve.reseeds
    ]
    columns = (
        "pot",
        "reseeds short",
        "short from empty",
        "shortfall from empty",
        "collected a cycle",
        "deficit",
        "rate / break-even rate",
    )
    return Section(
        "Seeds and reserves",
        columns,
        rows,
        "From empty: of a reserve that starts each cycle with nothing. Rates are of the base wagers.",
    )


def _ruin(figures: Figures) -> Section:
    rows = [
        (
            name,
            f"{each.start_in_seeds}",
            f"{each.horizon_cycles}",
            f"{each.trials:,}",
            _estimate(each.probability, percent),
            percent(each.formula),
        )
        for name, pot in figures.pots.items()
        for each in pot.reserve.ruin
        if each.trials
    ]
    return Section(
        "Ruin of the reserve: it is ever short",
        ("pot", "start, in seeds", "cycles", "trials", "chance", "for ever (M/D/1)"),
        rows,
    )


def _windows(figures: Figures) -> Section:
    rows = [
        (
            name,
            f"{pot.windows.windows:,}",
            f"{pot.windows.won:,}",
            f"{pot.windows.drawn:,}",
            _estimate(pot.windows.nobody_came, percent),
            percent(pot.windows.formula_nobody),
        )
        for name, pot in figures.pots.items()
        if pot.windows is not None
    ]
    return Section(
        "Windows of hidden times",
        ("pot", "windows", "won in time", "drawn", "nobody came in time", "by formula"),
        rows,
    )


def _community(figures: Figures) -> Section:
    rows = [
        (name, each.kind, f"{each.places:,}", f"{each.found:,}", amount(each.paid))
        for name, pot in figures.pots.items()
        for each in pot.community
    ]
    return Section("Community", ("pot", "strategy", "places", "found", "paid"), rows)


def warnings(figures: Figures) -> Iterable[str]:
    """One line for each."""
    for warned in figures.warnings:
        where = f"{warned.pot}: " if warned.pot is not None else ""
        yield f"{warned.code}  {where}{warned.message}"
