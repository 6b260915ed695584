"""Hearing speech: the detector and its backends."""
