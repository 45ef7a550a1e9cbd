"""Reports: pure functions of a run folder."""

from search.report.text import closing_lines
from search.report.write import get_ready, write_report

__all__ = ["closing_lines", "get_ready", "write_report"]
