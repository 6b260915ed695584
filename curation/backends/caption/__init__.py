"""Describing clips: the captioner, its backends, and what can be said of the light."""
