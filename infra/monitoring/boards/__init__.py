"""Grafana's boards: what each shows (`curate`, `encode`, `train`, `serve`), how it is drawn, and the JSON of each."""
