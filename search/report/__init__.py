"""Reports: pure functions of a run folder."""

from search.report.text import closing_lines
from search.report.write import write_report

__all__ = ["closing_lines", "write_report"]
