"""Made material: videos, runs, networks and servers that tests work on, each made on the spot."""
