"""Simulated days: `python -m tests.bench_day [--days N] [--below FOLDER]`.

Told is how long each takes, and the loss that its final run ends at; seeds 0 to N - 1. The first
day is run once more before, to warm up.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import time
from pathlib import Path

from spaces import Recipe
from tests.simulated import Simulation


def day(path: Path, seed: int) -> tuple[float, float]:
    """(seconds it took, loss of the final run) of a day's search in a new folder."""
    simulation = Simulation(path, seed=seed)
    gc.collect()  # what earlier days left behind is not this one's
    began = time.perf_counter()
    simulation.run()
    seconds = time.perf_counter() - began
    final = json.loads((path / "summary.json").read_text(encoding="utf-8"))["final"]
    assert simulation.objective is not None
    return seconds, simulation.objective.loss(Recipe.from_dict(final["recipe"]), final["tokens"])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench_day", description=__doc__)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--below", type=Path, help="folder for the days' folders")
    options = parser.parse_args()
    losses = []
    with tempfile.TemporaryDirectory(dir=options.below) as folder:
        day(Path(folder) / "first", 0)
        for seed in range(options.days):
            seconds, loss = day(Path(folder) / str(seed), seed)
            losses.append(loss)
            print(f"seed {seed}: {seconds:.2f} s, final loss {loss:.4f}", flush=True)
    if len(losses) > 1:
        error = statistics.stdev(losses) / len(losses) ** 0.5
        print(f"final loss {statistics.fmean(losses):.4f} ± {error:.4f}")


if __name__ == "__main__":
    main()
