"""Reports: pure functions of a run folder."""

from search.report.text import cost_lines, result_lines
from search.report.write import get_ready, write_report

__all__ = ["cost_lines", "get_ready", "result_lines", "write_report"]
