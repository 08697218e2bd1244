"""The feed: its store, tails of journals, the hub, sockets. A package, so that its tests may share oracles."""

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in ("feed_oracle", "ground")))
