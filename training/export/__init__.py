"""A model directory of any checkpoint: `python -m training export`."""
