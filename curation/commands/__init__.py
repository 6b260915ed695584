"""The commands of `python -m curation`, one file each: options that are quick to import, and a `run` that imports
late."""
