"""Instances, and what is done to them, as the admin listener shows them."""

from collections.abc import Iterable

from msgspec import Raw

from jackpotd.core import ledger
from jackpotd.core.events import InstanceEvent, TransfersSent
from jackpotd.core.passing import own_schedule
from jackpotd.core.raffle import current_round
from jackpotd.core.rules import PotRules
from jackpotd.core.state import HeldWin, Instance, Pot, RarePot, Seal, Transfer
from jackpotd.engine.catalog import Catalog
from jackpotd.wire import admin_instances as wire
from jackpotd.wire import codec
from jackpotd.wire.parameter_changes import values_before
from jackpotd.wire.rendering import contribution_type
from jackpotd.wire.schedule import schedule_answer


def instance_answer(catalog: Catalog, state: Instance) -> wire.InstanceState:
    """An instance with its pots and its ledger."""
    definition, rules, own = state.definition, state.rules, own_schedule(state)
    starts_ms, ends_ms = _times(state)
    return wire.InstanceState(
        id=definition.instance_id,
        name=definition.name,
        owner_id=definition.owner_id,
        template_id=definition.template_id,
        template_owner_id=definition.template_owner_id,
        jackpot_type="Jackpot" if rules.raffle is None else "Raffle",
        currency=rules.currency,
        status=state.status,
        instance_version=state.version,
        opt_in_required=rules.opt_in_required,
        contribution_type=contribution_type(rules.contribution),
        allowed_brands=sorted(rules.allowed_brands),
        allowed_sources=sorted(set(catalog.sources_of(definition.instance_id))),
        linked_instances=list(catalog.links.get(definition.instance_id, ())),
        pots=_pots(state),
        contribution_count=state.contributions,
        ledger={name: codec.amount(units) for name, units in ledger.accounts(state).items()},
        pending_changes=sum(change.pot is None for change in state.rare.pending),
        inherits_optins_of=state.rare.inherits or None,
        schedule=None if own is None else schedule_answer(own),
        timestamp_start=starts_ms,
        timestamp_end=ends_ms,
        raffle=None if rules.raffle is None else _raffle(state),
        created_timestamp=definition.created_ms,
        last_updated=state.updated_ms,
    )


def _times(state: Instance) -> tuple[int | None, int | None]:
    """When a raffle's round begins and ends; of others, and of a raffle that has none, what the schedule says."""
    round_, own = current_round(state), own_schedule(state)
    if round_ is not None:
        return round_.starts_ms, round_.ends_ms
    return (None, None) if own is None else (own.start_ms, own.end_ms)


def _raffle(state: Instance) -> wire.RaffleState:
    round_, missed = current_round(state), state.rare.missed
    if round_ is None:
        return wire.RaffleState(None, None, None, 0, 0, missed)
    return wire.RaffleState(
        round_.number, round_.starts_ms, round_.ends_ms, round_.tickets, round_.entrants, missed
    )


def _pots(state: Instance) -> list[wire.PotState]:
    parts = zip(state.rules.pots, state.pots, state.rare.pots, state.rare.seals, strict=True)
    return [
        _pot(state, index, rules, pot, rare, seal)
        for index, (rules, pot, rare, seal) in enumerate(parts)
    ]


def _pot(
    state: Instance, index: int, rules: PotRules, pot: Pot, rare: RarePot, seal: Seal | None
) -> wire.PotState:
    held = sum(win.paid for win in state.rare.held if win.pot == index)
    return wire.PotState(
        id=rules.id,
        is_progressive=rules.is_progressive,
        current_value=codec.amount(pot.value),
        seed_reserve=codec.amount(pot.reserve),
        boost=codec.amount(rare.boost),
        max_pot_value=codec.NULL if rules.value_max is None else codec.amount(rules.value_max),
        instance_count=pot.cycle,
        max_instantiation_count=rules.cycles_max,
        is_open=pot.is_open,
        hits=pot.hits,
        wins=codec.amount(pot.paid),
        withheld=codec.amount(held),
        pending_changes=sum(change.pot == index for change in state.rare.pending),
        seal=None if seal is None else seal_answer(seal),
    )


def seal_answer(seal: Seal) -> wire.SealState:
    """What is published of a seal."""
    return wire.SealState(seal.number, seal.commitment, seal.at_ms, seal.first)


def held_win_answer(state: Instance, win: HeldWin) -> wire.HeldWinState:
    """A win that waits for a person."""
    return wire.HeldWinState(
        gameround_id=win.round_id,
        pot_id=state.rules.pots[win.pot].id,
        timestamp=win.at_ms,
        player_id=win.winner.player_id,
        brand_id=win.winner.brand,
        amount=codec.amount(win.paid),
        currency=state.rules.currency,
        win_amount=codec.amount(win.win),
        win_currency=win.winner.currency,
        raffle_round=win.raffle_round or None,
    )


def parameters_answer(state: Instance, born: bytes) -> wire.ParametersAnswer:
    """The template in effect, and what waits; `born` is the template as the instance was born with it."""
    document = state.rare.document or bytes(born)
    pending = [
        wire.PendingState(
            id=change.id,
            pot_id=None if change.pot is None else state.rules.pots[change.pot].id,
            changes=Raw(change.changes),
            before=Raw(values_before(document, change.changes)),
            asked_at=change.at_ms,
            by=change.by,
            reason=change.reason,
        )
        for change in state.rare.pending
    ]
    return wire.ParametersAnswer(Raw(document), pending)


def transfers_in(events: Iterable[InstanceEvent]) -> list[Transfer]:
    """The money that these events send to other instances."""
    return [
        transfer
        for event in events
        if isinstance(event, TransfersSent)
        for transfer in event.transfers
    ]


def transfer_answer(state: Instance, transfer: Transfer) -> wire.TransferState:
    """Money that moves from a pot of this instance to one of another."""
    return wire.TransferState(
        transfer_id=transfer.id,
        pot_id=state.rules.pots[transfer.pot].id,
        instance_id=transfer.to_instance,
        target_pot_id=transfer.to_pot,
        amount=codec.amount(transfer.value),
        seed_reserve=codec.amount(transfer.reserve),
        boost=codec.amount(transfer.boost),
    )
