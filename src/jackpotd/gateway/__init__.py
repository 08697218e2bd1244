"""The gateway: contributions, opt-ins and reads for operators' services. Wire messages to engine requests, and back."""
