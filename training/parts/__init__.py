"""What of a training depends on its objective, one file each, put together from the recipe."""
