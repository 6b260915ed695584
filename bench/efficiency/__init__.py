"""What a model costs on the present device: the paper's Tab. 1 (autoencoders) and Tab. 3 (inference)."""
