"""What of a training depends on the kind of network that is trained, put together from its recipe."""
