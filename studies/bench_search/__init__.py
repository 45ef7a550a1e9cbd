"""The replay benchmark: `python -m studies.bench_search`; see its `--help`."""
