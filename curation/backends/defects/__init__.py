"""What spoils a clip besides poor quality: the detector, its backends, and one measure a file."""
