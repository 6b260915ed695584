"""How camera and people move: the estimator of the camera's motion, its backends, and what follows from it."""
