"""The leaderboard: methods' scores by each metric, their coverage, ranks and ties, as data and as text."""
