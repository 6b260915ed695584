"""How fast and how lean: each prints a ratio against a named reference in the same run."""
