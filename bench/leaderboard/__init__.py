"""Who scores what by each metric, on how many samples, and who ties with whom."""
