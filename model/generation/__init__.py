"""Making a video clip by clip: the pipeline, its samplers, the codebook, the timeline (paper, Sec. 3.2)."""
