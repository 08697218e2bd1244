"""Which events an account may see: the same on the gateway's stream and on Connect (contract §6, §7)."""

from jackpotd.identity.principal import Principal
from jackpotd.wire.feed_events import Kind, LoggedEvent


def may_see(principal: Principal, event: LoggedEvent) -> bool:
    """Whether an account may see an event.

    An opt-in is the business of the player's brand; all else of whoever owns the jackpot, and of every brand that
    takes part in it.
    """
    if event.kind is Kind.OPT_IN:
        return principal.reaches(event.brand)
    return principal.reaches(event.owner_id) or any(map(principal.reaches, event.brands))
