"""All that the admin listener does with the catalog and the instances: its handlers, and what goes on without a caller.

Made once, also where the listener is off: what was approved or begun in an earlier life is finished.
"""

import trio

from jackpotd.admin.approvals import Approvals
from jackpotd.admin.context import AdminContext
from jackpotd.admin.currencies import CurrencyTables
from jackpotd.admin.decommissioning import Decommissioning
from jackpotd.admin.instances import Instances
from jackpotd.admin.operators import Operators
from jackpotd.admin.parameters import Parameters
from jackpotd.admin.pots import Pots
from jackpotd.admin.rounds import Rounds
from jackpotd.admin.schedules import Schedules
from jackpotd.admin.sources import Sources
from jackpotd.admin.switch_model import SwitchModel
from jackpotd.admin.switching import Place, Switcher
from jackpotd.admin.templates import Templates
from jackpotd.admin.webhooks import DeadLetterDesk, NoFeed, SecretsOf, Webhooks


class Administration:
    """The handlers, over one context.

    Args:
        context: the catalog, the instances, and who may call.
        place: where an instance lives.
        dead_letters: keeps the results for webhooks that were given up.
        webhook_secrets: what an operator's results are signed with; by default what the operator has set.
    """

    def __init__(
        self,
        context: AdminContext,
        place: Place,
        dead_letters: DeadLetterDesk | None = None,
        webhook_secrets: SecretsOf | None = None,
    ) -> None:
        self.context = context
        self.approvals = Approvals(context)
        self.switcher = Switcher(
            context.owner,
            context.owners,
            place,
            context.clock,
            key_retention_ms=context.key_retention_ms,
        )
        self.operators = Operators(context)
        self.sources = Sources(context)
        self.currencies = CurrencyTables(context)
        self.templates = Templates(context, self.approvals)
        self.instances = Instances(context, self.approvals)
        self.schedules = Schedules(context, self.approvals)
        self.rounds = Rounds(context)
        self.pots = Pots(context, self.approvals)
        self.parameters = Parameters(context)
        self.decommissioning = Decommissioning(context, self.approvals)
        self.switch_model = SwitchModel(context, self.approvals, self.switcher)
        self.webhooks = Webhooks(context, dead_letters or NoFeed(), webhook_secrets or self._set)

    def _set(self, operator: str) -> tuple[str, ...]:
        """The secrets that an operator has set."""
        known = self.context.catalog.webhooks.get(operator)
        return known.secrets if known is not None else ()

    async def run(self) -> None:
        """Finishes what is approved or begun, until cancelled; needs the owners of the instances."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.approvals.run, name="approvals")
            nursery.start_soon(self.switcher.run, name="switches")
