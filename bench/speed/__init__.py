"""Speed and memory: each module prints the ratio to a named reference that is measured in the same run."""
