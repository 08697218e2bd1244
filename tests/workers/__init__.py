"""Whole servers of several worker processes: a package, so that what its tests share may have a module."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.fleet")
