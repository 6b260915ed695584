"""The HTML report of a run: funnel, distributions, thumbnails and speed in one file."""

from curation.report.page import ReportConfig, write_report, write_report_of

__all__ = ["ReportConfig", "write_report", "write_report_of"]
