"""What the mesh bench is made of: an owner in a process of its own, and the front that forwards to it."""
