"""From encoded shards to what a network is trained on: index, plan of batches, loading, conditioning."""
