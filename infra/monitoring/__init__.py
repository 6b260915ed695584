"""Watching what runs: Grafana's boards, the alerts of Prometheus, and starting it here with both."""
