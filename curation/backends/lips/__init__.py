"""Lips against sound: the scorer, its backends, and what they measure of mouths and of sound."""
