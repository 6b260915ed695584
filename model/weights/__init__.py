"""Files of weights: model directories, the layouts of Wan2.2, where a name leads."""
