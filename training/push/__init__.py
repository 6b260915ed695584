"""A model directory given away with its card: `python -m training push`."""
