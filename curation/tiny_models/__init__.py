"""Tiny random networks in the layouts of the real ones, so that every stage can be run without weights."""
