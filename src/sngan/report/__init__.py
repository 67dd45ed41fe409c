"""The report of a run: one HTML page from saved records."""

from sngan.report.page import write_report as write_report
