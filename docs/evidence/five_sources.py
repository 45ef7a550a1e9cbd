"""SmolLM2-135M on five real sources on a GPU: GSM8K and four of BBQ's categories.

`data/` holds `gsm8k.jsonl` (openai/grade-school-math: train.jsonl) and `bbq/` (nyu-mll/BBQ),
made into rows by `python docs/evidence/five_sources.py`; then
`python -m search.run --budget 8m --study docs/evidence/five_sources.py`.
"""

import json
from dataclasses import replace
from pathlib import Path

from spaces import Quantization, Recipe, Space, Targets
from studies import demo
from studies.study import Expert, HeldBack, LocalFile, Source, Study, Task

DATA = Path("data")
BBQ = {
    "age": "Age",
    "religion": "Religion",
    "nationality": "Nationality",
    "disability": "Disability_status",
}


def study() -> Study:
    """Searched on BBQ's held-back rows; GSM8K's stay unseen by the search."""
    licences = {"gsm8k": "MIT"} | dict.fromkeys(BBQ, "CC-BY-4.0")
    sources = tuple(
        Source(
            name=name,
            origin=LocalFile(path=DATA / f"{name}.rows.jsonl"),
            licence=licence,
            made_by="human",
        )
        for name, licence in licences.items()
    )
    natural = dict.fromkeys(licences, 1.0)
    common = Recipe(
        rank=16,
        alpha=32,
        targets=Targets.ALL_LINEAR,
        quantization=Quantization.BF16,
        packing=True,
        max_length=512,
        learning_rate=2e-4,
        tokens_per_step=8192,
        mixture=natural,
    )
    experts = {
        "default": ("rank 16, alpha 32, all layers, 2e-4: what most trainers ship with", common),
        "short-run": ("LoRA's best rate rises in short runs", replace(common, learning_rate=1e-3)),
        "small-steps": (
            "short runs gain from more, smaller steps",
            replace(common, learning_rate=6e-4, tokens_per_step=4096),
        ),
        "attention": (
            "adapters on attention only train faster",
            replace(common, targets=Targets.ATTENTION, learning_rate=1.5e-3),
        ),
    }
    return replace(
        demo.study().with_sources(sources, _tasks()),
        name="five_sources",
        heldout=(Task(name="gsm8k", origin=HeldBack(source="gsm8k")),),
        space=Space(
            rank=(4, 64),
            quantization=(Quantization.BF16, Quantization.NF4),
            packing=(True,),
            max_length=(512,),
            learning_rate=(1e-4, 5e-3),
            tokens_per_step=(4096, 8192),
            natural_mixture=natural,
        ),
        experts=tuple(
            Expert(name=name, why=why, recipe=recipe) for name, (why, recipe) in experts.items()
        ),
        search_items=100,
        finalist_items=100,
        final_items=200,
        heldout_items=200,
        first_rung_tokens=65_536,
        bracket=9,
    )


def _tasks() -> tuple[Task, ...]:
    return tuple(Task(name=name, origin=HeldBack(source=name)) for name in BBQ)


def main() -> None:
    """Make the rows."""
    files = {"gsm8k": DATA / "gsm8k.jsonl"}
    files |= {name: DATA / "bbq" / f"{category}.jsonl" for name, category in BBQ.items()}
    for name, file in files.items():
        with (DATA / f"{name}.rows.jsonl").open("w", encoding="utf-8") as out:
            for line in file.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                if name == "gsm8k":
                    made = (row["question"], row["answer"].rpartition("#### ")[2])
                else:
                    choices = ", ".join(row[f"ans{k}"] for k in range(3))
                    prompt = f"{row['context']} {row['question']} Choose from: {choices}."
                    made = (prompt, row[f"ans{row['label']}"])
                out.write(json.dumps({"prompt": made[0], "completion": made[1]}) + "\n")


if __name__ == "__main__":
    main()
