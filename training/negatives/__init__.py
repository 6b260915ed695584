"""`make negatives`: failure cases under a negative prompt, a pool beside the encoded clips."""
