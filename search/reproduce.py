"""`python -m search.reproduce RUN_DIR/recipe`: train a recipe again and compare the score."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from search.cli import Parser, guarded
from search.errors import BadInput
from search.read_recipe import ADAPTER, check_trained_by_us, own_code, read_recipe
from search.signs import printable

if TYPE_CHECKING:
    from spaces import Recipe

Z95 = 1.96
"""Standard errors on either side that count as the same score (95 %)."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser(
        prog="python -m search.reproduce",
        description="Train a recipe again from its own data and compare with its recorded score.",
    )
    made.add_argument("recipe", type=Path, metavar="RUN_DIR/recipe", help="the recipe folder")
    made.add_argument("--model", metavar="ID|PATH", help="the base model, if it lies elsewhere")
    made.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="run code that comes with the base model, or with the recipe (data/tasks/, "
        "data/axes.py)",
    )
    made.add_argument("--out", type=Path, metavar="DIR", help="keep the new adapter there")
    return made


def reproduce(
    folder: Path, model: str | None, out: Path | None, *, trust_remote_code: bool = False
) -> bool:
    """Train again; print both scores; returns whether the recorded interval holds the new one.

    Raises:
        BadInput: see `read_recipe`; or it brings code, which is not trusted.
        WorkerFailed: training failed.
    """
    from objectives.objective import Progress, Schedule  # noqa: PLC0415  # likewise
    from objectives.rows import hash_file  # noqa: PLC0415  # --help must not pay for it
    from search.recipe import copy_sides  # noqa: PLC0415  # likewise
    from search.store import macro  # noqa: PLC0415  # likewise
    from search.worker import ProcessObjective  # noqa: PLC0415  # likewise

    facts = read_recipe(folder, weights=False)
    check_trained_by_us(facts)
    own = own_code(folder)
    if own and not trust_remote_code:
        raise BadInput(
            f"the recipe brings files of its own ({own[0]}), which can run code: look at "
            "them, then give --trust-remote-code"
        )
    recipe: Recipe = facts["recipe"]
    training = facts["training"]
    shown = -1

    def listen(progress: Progress) -> None:
        nonlocal shown
        tenth = int(progress.done * 10)
        if tenth != shown:
            shown = tenth
            line = f"{progress.phase} {progress.done:.0%} {progress.note}"
            print(printable(line).rstrip(), flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        (work / "data" / "sources").mkdir(parents=True)
        (work / "data" / "items").mkdir()
        shutil.copyfile(folder / "data" / "train.jsonl", work / "data" / "sources" / "train.jsonl")
        for items in ("final", "heldout"):
            shutil.copyfile(
                folder / "data" / f"{items}.jsonl", work / "data" / "items" / f"{items}.jsonl"
            )
        copy_sides(folder / "data", work / "data")
        objective = ProcessObjective(
            model=model or facts["base"]["id"],
            run_dir=work,
            seed=facts["seed"],
            max_length=recipe.max_length,
            shuffle=False,
            trust_remote_code=trust_remote_code,
        )
        try:
            loaded = objective.load(listen)
            if loaded.base["revision"] != facts["base"]["revision"]:
                print("note: the base model is another revision than the recorded one")
            trained = objective.train(
                "final",
                replace(recipe, mixture={"train": 1.0}),
                Schedule(
                    warmup_steps=training["warmup_steps"],
                    decay_start=training["decay_start"],
                    total_steps=training["total_steps"],
                ),
                training["steps"],
                None,
                listen,
            )
            scores = objective.evaluate("final", "final", listen, exact=True)
            target = out or work / "again"
            objective.export("final", target)
        finally:
            objective.close()
        same = facts["adapter"] == hash_file(target / ADAPTER)
    accuracy, _ = macro(scores)
    recorded, stderr = facts["score"]["accuracy"], facts["score"]["stderr"]
    low, high = recorded - Z95 * stderr - 1e-4, recorded + Z95 * stderr + 1e-4
    inside = bool(low <= accuracy <= high)
    print(f"trained {trained.step} steps, {trained.tokens:,} tokens")
    print(
        f"recorded accuracy {recorded:.4f}, 95 % interval {max(0, low):.4f} to {min(1, high):.4f}"
    )
    print(f"reproduced accuracy {accuracy:.4f}: {'inside' if inside else 'OUTSIDE'}")
    print(f"the adapter is {'bit-identical' if same else 'not bit-identical'}")
    return inside


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; exit code 0 if the score lies in the interval, else 1."""

    def work() -> int:
        options = parser().parse_args(arguments)
        same = reproduce(
            options.recipe,
            options.model,
            options.out,
            trust_remote_code=options.trust_remote_code,
        )
        return 0 if same else 1

    return guarded(work, "interrupted")


if __name__ == "__main__":
    sys.exit(main())
