"""Finding written text: the detector, its backends, and what was laid over a picture."""
