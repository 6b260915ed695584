"""Encoding: curated shards to latents, text states and audio features; the one place in curation that uses the model.

`encoded` is the contract: what is written and what training reads. From the ground up: `config`; `curated_clips` reads
a curated tar; `references`, `frames` and `waveform` say what is needed of a clip; `clip_inputs` reads it; `networks`
encodes it; `encode_shard` encodes a shard; `job` is what the engine runs; `options` and `command` are the command line.
"""
