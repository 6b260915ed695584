"""Models put together: presets with random weights, released checkpoints, directories with parts replaced."""
