"""The crash test of the server: a package, so that its oracle may have more than one module."""
