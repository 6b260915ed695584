"""Soul's network and pipeline: Wan2.2-TI2V-5B with audio attention in every block (paper, Sec. 3)."""
