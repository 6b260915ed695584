"""The report of an evaluation: leaderboard, controls, slices, drift, players and evidence in one HTML file."""

from bench.report.page import ReportConfig, ReportInput, write_report

__all__ = ["ReportConfig", "ReportInput", "write_report"]
