"""Samples in the public layout, and the files of methods that go with them."""
