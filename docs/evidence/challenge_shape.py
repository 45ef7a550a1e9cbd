"""The challenge's studies without a network: Mistral-7B's shape, random weights, local rows.

Rows as for `docs/evidence/five_sources.py`; `python docs/evidence/challenge_shape.py` then makes
15 GB of random weights in `base/`, with the embedded model's tokenizer. One track each:
`python -m search.run --budget 8m --gpu-memory 24GiB --study docs/evidence/challenge_shape.py`, and
the same with `CHALLENGE_TRACK=a100` and 39.35GiB. Scores mean nothing here: what is exercised is
space, experts, quantization kinds, memory and time.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

from studies import challenge_4090, challenge_a100
from studies.study import HeldBack, LocalFile, Source, Study, Task

BASE = Path("base/mistralai/Mistral-7B-v0.1")
TASKS = ("age", "religion")
HELD_OUT = "gsm8k"


def study() -> Study:
    """A track with its own space, recipes and rules; fewer items, whose scores mean nothing."""
    track = {"4090": challenge_4090, "a100": challenge_a100}[
        os.environ.get("CHALLENGE_TRACK", "4090")
    ]
    sources = tuple(
        Source(
            name=name,
            origin=LocalFile(path=Path("data") / f"{name}.rows.jsonl"),
            licence=licence,
            made_by="human",
        )
        for name, licence in {"age": "CC-BY-4.0", "religion": "CC-BY-4.0", HELD_OUT: "MIT"}.items()
    )
    tasks = tuple(Task(name=name, origin=HeldBack(source=name)) for name in TASKS)
    return replace(
        track.study().with_sources(sources, tasks),
        model=str(BASE),
        heldout=(Task(name=HELD_OUT, origin=HeldBack(source=HELD_OUT)),),
        search_items=20,
        finalist_items=20,
        final_items=40,
        heldout_items=20,
    )


def main() -> None:
    """Make the base model."""
    from transformers import AutoTokenizer  # noqa: PLC0415  # the study needs none of these

    from objectives.base import EMBEDDED, resolve  # noqa: PLC0415
    from objectives.quantize import find_device  # noqa: PLC0415
    from studies.bench_train import SHAPES, build  # noqa: PLC0415

    tokenizer = AutoTokenizer.from_pretrained(resolve(EMBEDDED, print).path)
    model = build(SHAPES["mistral-7b"] | {"vocab_size": len(tokenizer)}, find_device().torch_device)
    model.config.eos_token_id = model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(BASE)
    tokenizer.save_pretrained(BASE)
    print(json.dumps({"parameters": sum(p.numel() for p in model.parameters())}))


if __name__ == "__main__":
    main()
