"""Tests of delivery to webhooks: a package, so that receivers and rows may stand beside its tests."""
