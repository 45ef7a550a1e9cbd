"""`python -m search.reproduce RUN_DIR/recipe`: train a recipe again and compare the score."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search import formats
from search.cli import Parser, guarded
from search.errors import BadInput

if TYPE_CHECKING:
    from spaces import Recipe

ADAPTER = "adapter/adapter_model.safetensors"
Z95 = 1.96
"""Standard errors on either side that count as the same score (95 %)."""
STEPS = ("warmup_steps", "decay_start", "total_steps")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


_TEXT = (_is_text, "text")
_COUNT = (_is_count, "a whole number of at least 0")
_SHARE = (_is_share, "a number from 0 to 1")
PARTS: dict[tuple[str, str], tuple[Callable[[object], bool], str]] = {
    ("base", "id"): _TEXT,
    ("base", "revision"): _TEXT,
    ("", "recipe"): (lambda value: isinstance(value, dict), "an object"),
    ("", "seed"): _COUNT,
    **{("training", name): _COUNT for name in ("steps", *STEPS)},
    **{("data", f"{name}.jsonl"): _TEXT for name in ("train", "final", "heldout")},
    ("score", "accuracy"): _SHARE,
    ("score", "stderr"): _SHARE,
}
"""What training again needs of recipe.json: (part, name) -> (whether it is sound, in words)."""


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
        help="use task files that come with the recipe (data/tasks/): they can run code",
    )
    made.add_argument("--out", type=Path, metavar="DIR", help="keep the new adapter there")
    return made


def read_recipe(folder: Path) -> dict[str, Any]:
    """recipe.json of a recipe folder, its `recipe` a Recipe; all files are as their hashes say.

    Raises:
        BadInput: missing, damaged, of another format, or changed.
    """
    from objectives.rows import verify  # noqa: PLC0415  # --help must not pay for it
    from spaces import Recipe  # noqa: PLC0415  # likewise

    path = folder / "recipe.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        sums = (folder / "sha256").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot read {path} ({error}); give a run's recipe folder") from None
    if not isinstance(facts, dict):
        raise BadInput(f"{path} is damaged: expected a JSON object")
    facts = formats.upgraded(path, facts, formats.RECIPE)
    for (part, name), (sound, is_) in PARTS.items():
        inner = facts if not part else facts.get(part)
        if not isinstance(inner, dict) or not sound(inner.get(name)):
            what = f"{part}: {name}" if part else name
            raise BadInput(f"{path}: {what} must be {is_}")
    facts["recipe"] = Recipe.from_dict(facts["recipe"])
    done, decay, total = (facts["training"][name] for name in ("steps", *STEPS[1:]))
    if not 0 < done <= total or decay > total:
        raise BadInput(f"{path}: training: {done} steps, decay from {decay}, {total} in all")
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in sums)}
    for name in ("recipe.json", ADAPTER):
        if name not in listed:
            raise BadInput(f"{folder / 'sha256'} lacks {name}; give a whole recipe folder")
    since = "the recipe was written"
    verify(folder, listed, since)
    verify(folder / "data", facts["data"], since)
    return facts


def reproduce(
    folder: Path, model: str | None, out: Path | None, *, trust_remote_code: bool = False
) -> bool:
    """Train again; print both scores; returns whether the recorded interval holds the new one.

    Raises:
        BadInput: see `read_recipe`; or its tasks bring code, which is not trusted.
        WorkerFailed: training failed.
    """
    from objectives.objective import Progress, Schedule  # noqa: PLC0415  # likewise
    from objectives.rows import hash_file  # noqa: PLC0415  # --help must not pay for it
    from search.recipe import copy_sides  # noqa: PLC0415  # likewise
    from search.store import macro  # noqa: PLC0415  # likewise
    from search.worker import ProcessObjective  # noqa: PLC0415  # likewise

    facts = read_recipe(folder)
    own = sorted(file for file in (folder / "data" / "tasks").rglob("*") if file.is_file())
    if own and not trust_remote_code:
        raise BadInput(
            f"the recipe brings task files of its own ({own[0]}), which can run code: look at "
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
            print(f"{progress.phase} {progress.done:.0%} {progress.note}".rstrip(), flush=True)

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
        same = hash_file(folder / ADAPTER) == hash_file(target / ADAPTER)
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
