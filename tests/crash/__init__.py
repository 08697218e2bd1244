"""The crash test of the server: a package, so that its oracle may have more than one module."""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "audit",
            "book",
            "calls",
            "campaign",
            "clients",
            "demo_jackpots",
            "facts",
            "history",
            "jackpot_oracle",
            "journal_reader",
            "raffle_audit",
            "raffle_oracle",
            "raffle_rows",
            "seal_oracle",
        )
    )
)
