"""Files of weights: model directories, the layouts of Wan2.2, and which files a model's name means."""
