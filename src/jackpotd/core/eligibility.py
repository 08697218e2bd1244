"""Who may contribute to an instance: brand, country, segments, vertical (contract §3, "Source resolution")."""

from collections.abc import Collection

from jackpotd.core import rejections
from jackpotd.core.rejections import Rejection
from jackpotd.core.rules import Rules


def refusal(
    rules: Rules,
    *,
    brand: str,
    country: str | None,
    segments: Collection[str] | None,
    vertical: str | None,
) -> Rejection | None:
    """The first rule that keeps this player out, or None. Countries, segments and verticals are opaque strings."""
    if brand not in rules.allowed_brands:
        return rejections.unsupported_brand(brand)
    if not allows_country(rules, country):
        return rejections.COUNTRY_NOT_ALLOWED
    if rules.allowed_segments is not None and rules.allowed_segments.isdisjoint(segments or ()):
        return rejections.SEGMENT_NOT_ALLOWED
    if rules.allowed_verticals is not None and vertical not in rules.allowed_verticals:
        return rejections.VERTICAL_NOT_ALLOWED
    return None


def allows_country(rules: Rules, country: str | None) -> bool:
    """Whether a country is on the list, where there is one, and not blocked."""
    allowed = rules.allowed_countries
    return (allowed is None or country in allowed) and country not in rules.blocked_countries


def may_see(
    rules: Rules, *, brand: str, country: str | None, segments: Collection[str] | None
) -> bool:
    """Whether a reader with these parameters gets the instance; a parameter that is missing skips its check (§5)."""
    if brand not in rules.allowed_brands:
        return False
    if country is not None and not allows_country(rules, country):
        return False
    return (
        segments is None
        or rules.allowed_segments is None
        or not rules.allowed_segments.isdisjoint(segments)
    )
