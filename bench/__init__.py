"""Measurements: how well Soul's parts and its videos do."""
