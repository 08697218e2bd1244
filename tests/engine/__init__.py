"""Tests of the engine and of the formats of journal and checkpoint."""
