"""Many processes, one training: ranks, launching, the trained model and its average, checkpoints, the lock."""
