"""The parts of a training that depend on its objective, put together from the recipe; one file for each objective."""
