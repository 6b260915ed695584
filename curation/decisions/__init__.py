"""Deciding again: other thresholds on the scores that an index holds, and versions of it."""
