"""What a training holds on each GPU, worked out from its recipe before anything is loaded."""
