"""Doors to a model: a page for people, an HTTP server with a queue for programs."""
