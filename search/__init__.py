"""The engine, from command line to report. Imports no torch."""

__version__ = "0.1.0"
