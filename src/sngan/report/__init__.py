"""HTML pages from saved records: of one run, and of runs compared."""

from sngan.report.compare_page import COMPARISON as COMPARISON
from sngan.report.compare_page import write_comparison as write_comparison
from sngan.report.page import write_report as write_report
