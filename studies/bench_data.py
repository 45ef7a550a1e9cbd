"""`python -m studies.bench_data`: how fast rows are prepared, and how dense they are packed.

Prepared: a file of `--rows` chat rows is read, cleaned, compared with evaluation items and
tokenised, each stage in a process of its own as in a job; told are rows/s and the largest memory.
Packed: those rows' lengths go into packs of `--size` tokens by our packer and, with `--trl PYTHON`,
by TRL's best fit (`pack_dataset`, with its standard batches of 1,000 rows, and all rows at once).
Both start from tokens in memory and end with tokens in packs. TRL runs in an environment of its
own: `python -m venv /tmp/trl && /tmp/trl/bin/pip install trl`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.rows import Row, write_jsonl
from search.cli import guarded
from search.errors import BadInput
from studies import demo
from studies.study import HeldBack, LocalFile, Source, Task

STEP = 8192
"""Tokens of an optimizer step, for the padding of real batches."""
MICRO = 16384
"""Positions of a batch."""
WORDS = 20_000
"""Different words in the rows that are made."""
PEER = """
import json, statistics, sys, time
import numpy as np, pyarrow as pa
from datasets import Dataset, disable_progress_bars
from trl import __version__, pack_dataset
disable_progress_bars()
lengths = np.load(sys.argv[1])
size, repeats = int(sys.argv[2]), int(sys.argv[3])
ids = pa.array(np.zeros(lengths.sum(), np.int32))
offsets = pa.array(np.concatenate([[0], lengths.cumsum()]), pa.int64())
data = Dataset(pa.table({"input_ids": pa.LargeListArray.from_arrays(offsets, ids)}))
found = {"version": __version__}
for batch in (1000, len(lengths)):
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        how = {"batch_size": batch, "load_from_cache_file": False, "keep_in_memory": True}
        packed = pack_dataset(data, size, "bfd", how)
        seconds.append(time.perf_counter() - began)
    found[batch] = {"seconds": statistics.median(seconds), "packs": len(packed)}
print(json.dumps(found))
"""
"""What TRL's environment runs."""


def make(rows: int, seed: int) -> Iterator[Row]:
    """Chat rows of random words: answers and questions of log-normal length, as chats have."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("aeioulnrstdm"))
    words = np.array(["".join(rng.choice(letters, rng.integers(2, 9))) for _ in range(WORDS)])
    for _ in range(rows):
        asked, answered = (int(n) for n in np.clip(rng.lognormal((3, 3.6), 0.9), 2, 400))
        text = rng.choice(words, asked + answered)
        yield {
            "prompt": [{"role": "user", "content": " ".join(text[:asked])}],
            "completion": [{"role": "assistant", "content": " ".join(text[asked:])}],
        }


def _prepare(file: Path, folder: Path) -> int:
    """A job's first stage; returns rows kept."""
    from objectives import data  # noqa: PLC0415  # its memory counts, so each stage imports its own

    source = Source(name="rows", origin=LocalFile(path=file))
    study = demo.study().with_sources(
        (source,), (Task(name="rows", origin=HeldBack(source="rows")),)
    )
    prepared = data.prepare(replace(study, heldout=()), folder, 0, _progress)
    return int(prepared.sources["rows"]["kept"])


def _tokenise(file: Path, lengths: Path, base: Path) -> int:
    """A job's second stage; returns labelled tokens."""
    from transformers import AutoTokenizer  # noqa: PLC0415  # likewise

    from objectives import tokens  # noqa: PLC0415  # likewise

    tokenizer = AutoTokenizer.from_pretrained(base)
    made = tokens.tokenised(file, tokenizer, lambda text: _progress(text, None))
    np.save(lengths, made.lengths)
    return made.trained


def _progress(doing: str, done: float | None) -> None:
    share = "" if done is None else f" ({done:.0%})"
    print(f"  {doing}{share}\x1b[K", end="\r", file=sys.stderr, flush=True)


def _measured(work: Callable[..., int], *arguments: Any) -> dict[str, float]:
    """Run in a fresh process: `result`, `seconds`, `memory_gib` at its peak."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        found: dict[str, float] = ours.recv()
    except EOFError:
        raise BadInput(f"{work.__name__} failed; the lines above say why") from None
    process.join()
    return found


def _child(pipe: Any, work: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    began = time.monotonic()
    result = work(*arguments)
    seconds = time.monotonic() - began
    unit = 1 if sys.platform == "darwin" else 1024
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    pipe.send({"result": result, "seconds": seconds, "memory_gib": memory})


def packed(lengths: NDArray[np.int64], size: int, repeats: int) -> dict[str, float]:
    """Our packer: `seconds` from tokens in rows to tokens in packs, `plan_s` of it, `packs`."""
    from objectives.packing import pack  # noqa: PLC0415  # it imports torch

    ids = np.zeros(lengths.sum(), np.int32)
    starts = np.concatenate([[0], lengths.cumsum()])
    whole, plan = [], []
    for _ in range(repeats):
        began = time.perf_counter()
        packs = pack(lengths, size)  # type: ignore[arg-type]
        plan.append(time.perf_counter() - began)
        order = np.fromiter(itertools.chain.from_iterable(packs), np.int64, len(lengths))
        ordered = lengths[order]
        ends = ordered.cumsum()
        shift = np.repeat(starts[order] - (ends - ordered), ordered)
        ids[np.arange(len(ids)) + shift]
        whole.append(time.perf_counter() - began)
    return {
        "seconds": statistics.median(whole),
        "plan_s": statistics.median(plan),
        "packs": len(packs),
    }


def padding(lengths: NDArray[np.int64], size: int) -> dict[str, float]:
    """Padding share and passes a step of real batches, `STEP` tokens each, packed and not."""
    from objectives.packing import arrange  # noqa: PLC0415  # likewise

    found: dict[str, float] = {}
    for name, packing in (("packed", True), ("unpacked", False)):
        positions = total = passes = steps = 0
        step: list[int] = []
        for length in lengths[:20_000].tolist():
            step.append(length)
            if sum(step) < STEP:
                continue
            layout = arrange(step, packing=packing, max_length=size, micro_tokens=MICRO)
            positions += sum(len(b) * max(sum(step[i] for i in row) for row in b) for b in layout)
            total, passes, steps, step = total + sum(step), passes + len(layout), steps + 1, []
        found |= {name: 1 - total / positions, f"{name}_passes": passes / steps}
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(prog="python -m studies.bench_data", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=2048, help="tokens of a pack")
    parser.add_argument("--repeats", type=int, default=5, help="packings; their median counts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trl", help="Python of an environment that has TRL")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options), "stopped")


def _run(options: argparse.Namespace) -> int:
    from objectives.base import EMBEDDED, resolve  # noqa: PLC0415  # --help answers at once

    base = resolve(EMBEDDED).path
    facts: dict[str, Any] = {"rows": options.rows, "size": options.size}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        file, at = scratch / "rows.jsonl", scratch / "lengths.npy"
        write_jsonl(file, make(options.rows, options.seed))
        for stage, work, given in (
            ("prepared", _prepare, (file, scratch / "run")),
            ("tokenised", _tokenise, (scratch / "run/data/sources/rows.jsonl", at, base)),
        ):
            found = facts[stage] = _measured(work, *given)
            print(
                f"{stage}: {options.rows / found['seconds']:,.0f} rows/s, "
                f"{found['memory_gib']:.2f} GiB at most\x1b[K"
            )
        lengths = np.load(at)
        lengths = lengths[lengths <= options.size]
        np.save(at, lengths)
        ours = facts["ours"] = packed(lengths, options.size, options.repeats)
        print(
            f"{len(lengths):,} rows of {lengths.min()} to {lengths.max()} tokens, "
            f"packs of {options.size}"
        )
        _told("ours", ours, lengths, options.size)
        print(f"{'':<18}of which planning {ours['plan_s']:.3f} s")
        if options.trl:
            facts["trl"] = theirs = _peer(options, at)
            for batch in [key for key in theirs if key != "version"]:
                _told(f"TRL, by {int(batch):,}", theirs[batch], lengths, options.size)
                print(f"{'':<18}ours: {theirs[batch]['seconds'] / ours['seconds']:.1f}x as fast")
    facts["steps"] = steps = padding(lengths, options.size)
    print(
        f"steps of {STEP} tokens: padding {steps['packed']:.2%} packed in "
        f"{steps['packed_passes']:.1f} passes, {steps['unpacked']:.2%} unpacked in "
        f"{steps['unpacked_passes']:.1f}"
    )
    if options.out:
        options.out.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return 0


def _told(name: str, found: dict[str, float], lengths: NDArray[np.int64], size: int) -> None:
    share = 1 - lengths.sum() / (found["packs"] * size)
    print(f"{name:<18}{found['packs']:,} packs, {share:.3%} padding, {found['seconds']:.3f} s")


def _peer(options: argparse.Namespace, lengths: Path) -> dict[str, Any]:
    command = [options.trl, "-c", PEER, str(lengths), str(options.size), str(options.repeats)]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
        raise BadInput(f"--trl {options.trl}: {reason}") from error
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    sys.exit(main())
