"""Training: encoded shards become a model directory, stage by stage (paper, Sec. 3 and 5.1)."""
