"""Measuring methods' videos of samples: which rows are missing, how they are computed, and controls."""
