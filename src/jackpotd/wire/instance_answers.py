"""An instance, and a player's standing with it, as readers get them: on the gateway, on Connect and in events."""

from jackpotd.core import money
from jackpotd.core.passing import own_schedule
from jackpotd.core.raffle import current_round
from jackpotd.core.state import UNKNOWN_PLAYER, Instance, Player
from jackpotd.wire import codec
from jackpotd.wire import gateway_messages as wire
from jackpotd.wire.rendering import contribution_type


def instance_answer(state: Instance, status: wire.OptInStatus | None) -> wire.InstanceAnswer:
    """An instance as it is shown, with the standing of the player who was named."""
    starts_ms, ends_ms = round_times(state)
    return wire.InstanceAnswer(
        id=state.definition.instance_id,
        currency=state.rules.currency,
        opt_in_required=state.rules.opt_in_required,
        contribution_type=contribution_type(state.rules.contribution),
        optin_status=status,
        pots=[
            wire.PotAnswer(
                id=rules.id,
                instance_count=pot.cycle,
                is_progressive=rules.is_progressive,
                current_value=codec.amount(pot.value),
                community_split=codec.amount(sum(each.share for each in rules.community)),
            )
            for rules, pot in zip(state.rules.pots, state.pots, strict=True)
        ],
        timestamp_start=starts_ms,
        timestamp_end=ends_ms,
        status=state.status,
    )


def round_times(state: Instance) -> tuple[int | None, int | None]:
    """Start and end of a raffle's round, the next one if none runs; of anything else as the schedule says."""
    round_, own = current_round(state), own_schedule(state)
    if round_ is not None:
        return round_.starts_ms, round_.ends_ms
    return (None, None) if own is None else (own.start_ms, own.end_ms)


def opt_in_status(
    state: Instance, brand: str, player_id: str, player: Player
) -> wire.OptInStatus | None:
    """The player's standing; None where the instance has never seen them."""
    if player is UNKNOWN_PLAYER:
        return None
    preferred = player.preferences[-1] if player.preferences else None
    return wire.OptInStatus(
        doc_version="V1",
        instance_id=state.definition.instance_id,
        player_id=player_id,
        ext_player_id=player_id,
        player_brand_id=brand,
        preferred_contribution_value=codec.NULL
        if preferred is None
        else codec.amount(preferred[1]),
        preferred_contribution_currency=None if preferred is None else preferred[0],
        contribution_preferences={
            currency: money.decimal_text(value) for currency, value in player.preferences
        },
        contribution_count=player.count,
        contribution_value=codec.amount(player.value),
        pot_contributions=_pot_contributions(state, player),
        opted_in=player.opted_in,
        last_updated=player.updated_ms,
    )


def _pot_contributions(state: Instance, player: Player) -> dict[str, wire.PotContribution]:
    """Since each pot's last win: counts of an earlier cycle are past."""
    found = {}
    for rules, pot, count in zip(state.rules.pots, state.pots, player.pots, strict=False):
        is_current = count.cycle == pot.cycle and pot.is_open
        value = codec.amount(count.value if is_current else 0)
        found[rules.id] = wire.PotContribution(count.count if is_current else 0, value)
    return found
