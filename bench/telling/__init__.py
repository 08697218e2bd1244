"""Many WebSocket readers, and the servers that tell them something."""
