"""Encoding: curated shards to latents, text states and audio features; the one place in curation that uses the model."""
