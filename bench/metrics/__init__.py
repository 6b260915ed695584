"""Metrics of generated videos, one file each; `registry` lists them."""
