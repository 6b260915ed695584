"""Telling two views of one scene from two scenes: the checker of cuts and its backends."""
