"""A blind study with people: a static page to rate videos on, and what its result files say (paper, Tab. 4)."""
