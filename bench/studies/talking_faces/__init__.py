"""Drawn talking faces whose truth is known: how the mouth moves, who they are, how the head moves.

`identity` is the person, `performance` what happens over time, `prompt` its description in words, `face` the drawing,
`measure` reads the truth back from pixels, and `dataset` makes encoded shards of it all.
"""
