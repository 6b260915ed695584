"""What spoils a clip besides poor quality: the detector, its backends, and one file for each measure."""
