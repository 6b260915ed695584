"""Soul-Bench, its metrics, and what the model costs to run (paper, Sec. 4.2 and 5)."""
