"""Doors to a model: an HTTP server with a queue for programs."""
