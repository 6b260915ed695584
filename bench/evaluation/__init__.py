"""Measuring methods' videos of samples: what is missing, computing it, and inputs made wrong on purpose."""
