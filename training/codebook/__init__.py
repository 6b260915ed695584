"""`make codebook`: K-Means centroids of the latents that are trained on."""
