"""Small shards become large ones: which, how, and as a job."""
