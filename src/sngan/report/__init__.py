"""Reports: HTML pages of a run or of a comparison, made from saved records."""

from sngan.report.compare_page import COMPARISON as COMPARISON
from sngan.report.compare_page import write_comparison as write_comparison
from sngan.report.page import write_report as write_report

__all__ = [
    "COMPARISON",
    "write_comparison",
    "write_report",
]
