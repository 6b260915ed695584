"""Models put together: presets with random weights, released checkpoints, what of a directory is replaced."""
