"""Raw human video becomes Soul-1M: annotated WebDataset shards (paper, Sec. 4.1)."""
