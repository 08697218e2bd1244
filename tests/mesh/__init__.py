"""Several workers on one mesh: a package, so that its tests may share their jackpots."""
