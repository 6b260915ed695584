"""Telling two views of one scene from two scenes: the descriptor and its backends."""
