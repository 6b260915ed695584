"""A page on which a run is watched while it goes on: how far, how fast, what it rejects, and what holds it up."""
