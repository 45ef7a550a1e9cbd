"""How long a simulated day takes: `python -m tests.bench_day [FOLDER]`, after a warm-up run."""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from pathlib import Path

from tests.simulated import Simulation


def main() -> None:
    """Print the seconds of three simulated days, each in a new folder below FOLDER."""
    below = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=below) as folder:
        for number in range(4):
            simulation = Simulation(Path(folder) / str(number))
            gc.collect()  # what earlier runs left behind is not this one's
            began = time.perf_counter()
            simulation.run()
            if number:
                print(f"{time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
