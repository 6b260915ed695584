"""Encoding: curated shards to latents, text states and audio features.

The one place in curation that uses the model. From the ground up: `config`; `shard` reads a curated tar; `references`,
`pictures` and `sound` say what of a clip is wanted; `material` reads it; `networks` encodes it; `clips` does a shard;
`job` is what the engine runs; `options` and `command` are the command line's.
"""
