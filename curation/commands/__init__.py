"""The commands of `python -m curation`, one a file: options that are quick to import, and a `run` that imports late."""
