"""The front, by itself: its protocol without a socket, and its reactor with handlers of the tests' own."""
