"""Videos of samples by a model directory: one method of the benchmark, made here."""
