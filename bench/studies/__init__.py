"""Studies of whether the method does what it claims. Each trains or loads a model, measures it and writes figures."""
