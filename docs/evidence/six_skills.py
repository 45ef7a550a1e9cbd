"""SmolLM2-135M on six generated skills on a GPU: harder than four minutes of the default can teach.

`python docs/evidence/six_skills.py` makes the rows in `data/`; then
`python -m search.run --budget 4m --study docs/evidence/six_skills.py`.
"""

import json
from dataclasses import replace
from pathlib import Path

from objectives.generated import generate
from spaces import Quantization, Recipe, Space, Targets
from studies import demo
from studies.study import Expert, Generated, HeldBack, LocalFile, Source, Study, Task

DATA = Path("data")
ROWS = 20_000
SKILLS = {
    "chain_sum": {"min_terms": 2, "max_terms": 4, "min_digits": 2, "max_digits": 3},
    "spell_backward": {},
    "caesar_cipher": {},
    "letter_counting": {},
    "number_filtering": {},
    "time_intervals": {},
}


def study() -> Study:
    """All six are searched on; the space and the experts are those of `five_sources.py`."""
    natural = dict.fromkeys(SKILLS, 1.0)
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
        replace(demo.study(), heldout=()).with_sources(
            tuple(
                Source(
                    name=name,
                    origin=LocalFile(path=DATA / f"{name}.rows.jsonl"),
                    licence="Apache-2.0",
                    made_by="program",
                )
                for name in SKILLS
            ),
            tuple(Task(name=name, origin=HeldBack(source=name)) for name in SKILLS),
        ),
        name="six_skills",
        space=Space(
            rank=(4, 64),
            quantization=(Quantization.BF16,),
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
        first_rung_tokens=65_536,
        bracket=9,
    )


def main() -> None:
    """Make the rows."""
    DATA.mkdir(exist_ok=True)
    for name, parameters in SKILLS.items():
        rows = generate(Generated(generator=name, parameters=parameters), ROWS, 0, None)
        with (DATA / f"{name}.rows.jsonl").open("w", encoding="utf-8") as out:
            for row in rows:
                out.write(json.dumps(row) + "\n")
        print(name, len(rows))


if __name__ == "__main__":
    main()
