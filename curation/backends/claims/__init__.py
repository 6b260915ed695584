"""Comparing what a caption claims with what the frames show."""
