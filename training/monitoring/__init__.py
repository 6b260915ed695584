"""Watching a training while it runs: metrics, display, throughput, held-out samples."""
