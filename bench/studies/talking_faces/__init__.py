"""Drawn talking faces whose truth is known: what they say with their mouth, who they are, how the head moves.

`identity` says who, `prompt` how it is told, `performance` what happens over time, `face` draws it, `measure` reads it
back from pixels, `dataset` makes encoded shards of it.
"""
