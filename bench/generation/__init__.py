"""Generating videos of the samples with a model directory, as one method of the benchmark."""
