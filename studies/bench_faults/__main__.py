"""Break jobs on purpose, and tell what became of them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search.cli import Parser, guarded, told
from search.errors import BadInput
from studies.bench_faults import days, kills


def work(arguments: Sequence[str] | None) -> int:
    """Break jobs and tell what became of them; 1 if one was lost."""
    parser = Parser("python -m studies.bench_faults", str(__doc__))
    parser.add_argument(
        "--days", type=int, default=1000, help="simulated days with troubles (default: 1000)"
    )
    parser.add_argument(
        "--killed-days", type=int, default=100, help="such days that are killed, too (default: 100)"
    )
    parser.add_argument(
        "--kills", type=int, default=200, help="kills of real processes (default: 200)"
    )
    parser.add_argument(
        "--real-kills",
        type=int,
        default=0,
        help="kills of jobs with the embedded model, some minutes each (default: 0)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the first of each (default: 0)")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args(arguments)
    for name in ("days", "killed_days", "kills", "real_kills"):
        if getattr(options, name) < 0:
            raise BadInput(f"--{name.replace('_', '-')} must be at least 0")
    made: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if options.days:
            made["days"] = simulated(folder, options.seed, options.days, killed=False)
        if options.killed_days:
            made["killed_days"] = simulated(folder, options.seed, options.killed_days, killed=True)
        if options.kills:
            made["kills"] = killed(folder, options.seed, options.kills)
        if options.real_kills:
            made["real_kills"] = killed_real(folder, options.seed, options.real_kills)
    if options.json:
        options.json.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    bad = [
        one for part in made.values() for one in (part.get("lost") or part.get("complaints") or ())
    ]
    return 1 if bad else 0


def simulated(folder: Path, seed: int, count: int, *, killed: bool) -> dict[str, Any]:
    """Days in simulated time."""
    found = []
    for number in range(count):
        found.append(days.day(seed + number, folder, kills=killed))
        told(f"{number + 1:,} of {count:,} days")
    told("")
    made = days.facts(found)
    print("\n".join(days.lines(made)), flush=True)
    return made


def killed(folder: Path, seed: int, count: int) -> dict[str, Any]:
    """Jobs in real processes, until there were so many kills."""
    found: list[kills.Broken] = []
    so_far = 0
    while so_far < count:
        number = seed + len(found)
        alone, out = folder / f"alone-{number}", folder / f"killed-{number}"
        kills.run_alone(alone, number)
        broken = kills.break_job(out, number, min(kills.FORMULAS.most, count - so_far))
        if (out / "summary.json").is_file():
            kills.compare(broken, out, alone)
        found.append(broken)
        so_far += max(1, sum(broken.kills.values()))
        told(f"{so_far:,} of {count:,} kills")
    told("")
    made = kills.facts(found)
    print("\n".join(kills.lines(made, "as if left alone")), flush=True)
    return made


def killed_real(folder: Path, seed: int, count: int) -> dict[str, Any]:
    """Jobs with a real model, until there were so many kills."""
    found: list[kills.Broken] = []
    so_far = 0
    while so_far < count:
        number = seed + len(found)
        out = folder / f"real-{number}"
        most = min(kills.REAL.most, count - so_far)
        broken = kills.break_job(out, number, most, kills.REAL)
        if (out / "summary.json").is_file():
            kills.look_at_real(broken, out)
        found.append(broken)
        so_far += max(1, sum(broken.kills.values()))
        told(f"{so_far:,} of {count:,} kills")
    told("")
    made = kills.facts(found)
    print("\n".join(kills.lines(made, "with a recipe and all of their trials")), flush=True)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    return guarded(lambda: work(arguments), "stopped")


if __name__ == "__main__":
    raise SystemExit(main())
