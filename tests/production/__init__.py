"""Production curation through the real libraries, each in its environment, with tiny random weights."""
