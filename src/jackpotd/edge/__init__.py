"""What every HTTP listener of ours shares: the exchange of a request for an answer, the guard, the Quart-Trio shell."""
