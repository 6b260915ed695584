"""Finding faces in pictures: the detector, its backends, and what a face tells of the person."""
