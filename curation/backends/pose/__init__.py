"""Finding people and how much of them is seen: the estimator and its backends."""
