"""A run given away as a data set with its card: `python -m curation push`."""
