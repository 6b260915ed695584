"""How good a clip looks: the scorer and its backends."""
