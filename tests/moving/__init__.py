"""Tests of instances that move between workers; the checks among them explain their failures as tests do."""

import pytest

pytest.register_assert_rewrite(
    "moving.books", "moving.neighbourhood", "moving.neighbours", "moving.linking"
)
