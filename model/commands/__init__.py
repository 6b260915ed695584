"""The commands of `python -m model`, two files each: options that import nothing that takes time, and the work."""
