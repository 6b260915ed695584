"""Making a video clip by clip: the pipeline, its samplers, the codebook, the time line (paper, Sec. 3.2)."""
