"""Shards of curated clips: writing and committing them, their rows, reading them again."""
