"""`python -m studies.verify_exports RUN_DIR`: let each trainer read what `search.export` wrote.

Each trainer is installed into an environment of its own (kept in --envs), reads its file with its
own parser or validator, and tokenises the first rows; what it read and which tokens it trains are
compared with the recipe. TRL also trains some steps on the CPU: at its first two no weight has
changed (the first has rate 0), so its losses must be ours on the same rows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from search.cli import Parser, guarded, told
from search.errors import BadInput

ROWS = 8
"""Rows whose trained tokens are compared."""
STEPS = 4
"""That TRL trains."""
SAME_LOSS = 2e-3
"""Relative difference of two losses that counts as none: of float32 in another order."""
TORCH = "torch==2.13.0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trainer:
    """How a trainer is installed and asked."""

    file: str
    """In exports/NAME/."""
    alone: tuple[str, ...] = ()
    """Packages that are installed without their requirements."""
    packages: tuple[str, ...] = ()


TRAINERS = {
    "trl": Trainer(file="sft.yaml", packages=("trl==1.16.0", "peft==0.21.2", "rich")),
    "axolotl": Trainer(
        file="axolotl.yaml",
        alone=(
            "axolotl==0.19.0",
            "axolotl-contribs-lgpl==0.0.7",
            "axolotl-contribs-mit==0.0.6",
        ),
        packages=(
            *("transformers==5.16.1", "peft==0.20.0", "accelerate==1.13.0", "datasets==4.8.4"),
            *("trl==1.9.0", "pydantic==2.12.5", "typer==0.25.1", "packaging==26.0"),
            *("addict", "colorama", "einops", "fire", "numba", "pillow", "posthog", "PyYAML"),
            *("python-dotenv", "requests", "scipy", "zstandard"),
        ),
    ),
    "llamafactory": Trainer(
        file="sft.yaml",
        alone=("llamafactory==0.9.5",),
        packages=(
            *("transformers<=5.6.0", "peft<=0.18.1", "trl<=0.24.0", "accelerate<=1.11.0"),
            *("datasets<=4.0.0", "av", "einops", "fastapi", "fire", "librosa", "matplotlib"),
            *("omegaconf", "pandas", "pillow", "pydantic", "PyYAML", "scipy", "sentencepiece"),
            *("sse-starlette", "tiktoken", "uvicorn"),
        ),
    ),
}


def environment(name: str, folder: Path) -> Path:
    """The Python of a trainer's environment, which is made if it is not there."""
    python = folder / name / "bin" / "python"
    done = folder / name / "installed"
    if done.is_file():
        return python
    trainer = TRAINERS[name]
    told(f"{name}: installing")
    venv.create(folder / name, with_pip=True, clear=True)
    for words in ([TORCH], ["--no-deps", *trainer.alone], list(trainer.packages)):
        if words and words != ["--no-deps"]:
            install = [str(python), "-m", "pip", "install", "-q", *words]
            done_ = subprocess.run(install, capture_output=True, text=True, check=False)
            if done_.returncode:
                raise BadInput(f"{name} cannot be installed: {done_.stderr.strip()[-300:]}")
    done.touch()
    return python


def ask(name: str, python: Path, recipe: Path, base: Path) -> dict[str, Any]:
    """What a trainer says of its file.

    Raises:
        BadInput: it refuses it.
    """
    probe = Path(__file__).with_name(f"{name}_probe.py")
    file = f"exports/{name}/{TRAINERS[name].file}"
    words = [str(python), str(probe), file, str(base)]
    words += [str(STEPS), str(ROWS)] if name == "trl" else [str(ROWS)]
    told(f"{name}: reading {file}")
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    asked = subprocess.run(words, cwd=recipe, env=kept, capture_output=True, text=True, check=False)
    told("")
    if asked.returncode:
        raise BadInput(f"{name} refuses {file}: {asked.stderr.strip()[-500:]}")
    found: dict[str, Any] = json.loads(asked.stdout.strip().splitlines()[-1])
    return found


def ours(recipe: Path, base: Path, per_step: int) -> tuple[list[list[int]], list[float]]:
    """Token ids that we train in the first rows, and our losses of the first two steps."""
    import torch  # noqa: PLC0415  # --help answers without it
    import transformers  # noqa: PLC0415  # likewise

    from objectives.model import answer_logits  # noqa: PLC0415  # likewise
    from objectives.packing import IGNORED, collate  # noqa: PLC0415  # likewise
    from objectives.rows import iterate_jsonl  # noqa: PLC0415  # likewise
    from objectives.text import tokenise  # noqa: PLC0415  # likewise

    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    rows = list(islice(iterate_jsonl(recipe / "data" / "train.jsonl"), max(ROWS, 2 * per_step)))
    samples = list(tokenise(rows, tokenizer, "train"))
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    losses = []
    for step in range(2):
        mine = samples[step * per_step : (step + 1) * per_step]
        batch = collate(mine, [[n] for n in range(len(mine))], packed=False)
        with torch.no_grad():
            logits = answer_logits(model, batch)
        targets = batch.labels[batch.labels != IGNORED]
        losses.append(float(torch.nn.functional.cross_entropy(logits, targets)))
    return [list(sample.ids[sample.start :]) for sample in samples[:ROWS]], losses


def compare(name: str, found: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    """What a trainer read otherwise than it was meant; empty if nothing."""
    recipe, steps = facts["recipe"], facts["steps"]
    wanted = {
        "rank": recipe.rank,
        "alpha": recipe.alpha,
        "learning_rate": recipe.learning_rate,
        "warmup_steps": steps.warmup,
        "order": "sequential",
        "packing": facts["packed"],
        "length": recipe.max_length,
        "max_steps": steps.total,
        "per_step": facts["per_step"],
        "dropout": 0.0,
        "clip": 1.0,
        "seed": facts["seed"],
    }
    if isinstance(facts["modules"], list):
        wanted["modules"] = facts["modules"]
    read = found["read"]
    wrong = [
        f"{key}: read {read[key]!r}, meant {value!r}"
        for key, value in wanted.items()
        if read[key] != value
    ]
    kind, options = read["schedule"]
    if kind != "warmup_stable_decay" or options["num_decay_steps"] != steps.decay:
        wrong.append(f"schedule: read {kind} {options}")
    return [f"{name}: {text}" for text in wrong]


def verify(
    run_dir: Path, names: Sequence[str], envs: Path | None, model: str | None
) -> dict[str, Any]:
    """Export a run's recipe and let trainers read it; the figures and what is wrong.

    Raises:
        BadInput: there is no recipe or no base model, or a trainer refuses its file.
    """
    from objectives.base import cache_dir, resolve  # noqa: PLC0415  # --help answers without it
    from search.export.__main__ import export  # noqa: PLC0415  # likewise
    from search.export.source import open_recipe  # noqa: PLC0415  # likewise

    export(run_dir, names)
    source = open_recipe(run_dir)
    base = resolve(model or source.facts["base"]["id"]).path
    labels, losses = ours(source.folder, base, source.per_step)
    facts = {
        "recipe": source.recipe,
        "steps": source.steps,
        "packed": source.packed,
        "modules": source.modules,
        "per_step": source.per_step,
        "seed": source.facts["seed"],
    }
    made: dict[str, Any] = {}
    for name in names:
        found = ask(name, environment(name, envs or cache_dir() / "envs"), source.folder, base)
        pairs = list(zip(found["labels"], labels, strict=True))
        same = sum(one == other for one, other in pairs)
        more = sum(one != other == one[: len(other)] for one, other in pairs)
        made[name] = {
            "version": [*TRAINERS[name].alone, *TRAINERS[name].packages][0],
            "wrong": compare(name, found, facts),
            "rows": len(labels),
            "same_trained_tokens": same,
            "trained_beyond_the_end_of_turn": more,
        }
        if "losses" in found:
            losses_of = list(zip(found["losses"], losses, strict=False))
            made[name] |= {"losses": found["losses"], "our_losses": losses}
            made[name]["wrong"] += [
                f"{name}: loss {theirs} at step {step}, ours {mine}"
                for step, (theirs, mine) in enumerate(losses_of, 1)
                if abs(theirs - mine) > SAME_LOSS * mine
            ]
    return made


def work(arguments: Sequence[str] | None) -> int:
    """Verify and tell; 1 if something was read otherwise than meant."""
    parser = Parser("python -m studies.verify_exports", str(__doc__))
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="a finished run")
    parser.add_argument("--to", nargs="+", choices=TRAINERS, default=list(TRAINERS), help="all")
    parser.add_argument(
        "--envs",
        type=Path,
        help="where they are installed (default: in the cache folder)",
    )
    parser.add_argument("--model", metavar="ID|PATH", help="the base model, if it lies elsewhere")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args(arguments)
    made = verify(
        options.run_dir, options.to, options.envs and options.envs.resolve(), options.model
    )
    wrong = []
    for name, found in made.items():
        wrong += found["wrong"]
        more = found["trained_beyond_the_end_of_turn"]
        print(
            f"{name} ({found['version']}): the file is read; the trained tokens are ours in "
            f"{found['same_trained_tokens']} of {found['rows']} rows"
            + (f", and in {more} ours and what follows the end of turn" if more else "")
        )
        if "losses" in found:
            theirs = ", ".join(f"{loss:.4f}" for loss in found["losses"])
            mine = ", ".join(f"{loss:.4f}" for loss in found["our_losses"])
            print(f"  losses {theirs}; ours on the rows of the first two steps {mine}")
    print("\n".join(wrong) or "nothing was read otherwise than meant")
    if options.json:
        options.json.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    return 1 if wrong else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    return guarded(lambda: work(arguments), "stopped")


if __name__ == "__main__":
    sys.exit(main())
