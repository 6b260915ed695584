"""Clips that show the same seconds as another clip of the run: finding them, and an index without them."""
