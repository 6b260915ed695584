"""What a model costs: parameters, operations and memory at a size and length."""
