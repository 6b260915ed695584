"""One file per stage of the curation pipeline: thresholds and decisions."""
