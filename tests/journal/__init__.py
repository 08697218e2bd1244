"""Tests of the journal: a package, so that the oracle of the key index may stand beside its tests."""
