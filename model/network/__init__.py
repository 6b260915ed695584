"""The network: Wan2.2-TI2V's video DiT with audio attention in every block (paper, Sec. 3.1)."""
