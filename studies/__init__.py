"""Complete jobs: Python functions that return a typed Study."""

from studies.study import Expert, Source, Study, Task

__all__ = ["Expert", "Source", "Study", "Task"]
