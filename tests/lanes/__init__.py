"""The gateway's port from outside, byte by byte: a package, so that its tests may share a raw client."""

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in ("raw", "stage")))
