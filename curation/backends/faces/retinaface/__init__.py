"""RetinaFace (Deng et al., 2019): faces and five landmarks in one pass, from the public PyTorch weights."""
