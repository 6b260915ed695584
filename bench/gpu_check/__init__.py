"""One short check of a GPU: is what the network computes right there, how fast is it, and how much memory it takes."""
