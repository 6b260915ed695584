"""Studies: does the method do what it claims? Each trains or takes a model, measures it and writes figures."""
