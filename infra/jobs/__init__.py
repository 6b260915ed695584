"""Work in units, over Ray or in this process: placing it, running it, watching it."""
