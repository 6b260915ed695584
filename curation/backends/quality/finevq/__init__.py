"""FineVQ (paper, Sec. 4.1): the settings, and the scorer that asks its server."""
