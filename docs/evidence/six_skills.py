"""SmolLM2-135M on six generated skills on a GPU: harder than four minutes of the default can teach.

`python docs/evidence/six_skills.py` makes the rows in `data/`; then
`python -m search.run --budget 4m --study docs/evidence/six_skills.py`.
"""

import json
from dataclasses import replace
from pathlib import Path
from runpy import run_path

from objectives.generated import generate
from spaces import Quantization
from studies.study import Generated, HeldBack, LocalFile, Source, Study, Task

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
    """All six are searched on; space and experts are those of `five_sources.py`, in bf16."""
    like: Study = run_path(str(Path(__file__).with_name("five_sources.py")))["study"]()
    made = replace(like, heldout=()).with_sources(
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
    )
    return replace(
        made, name="six_skills", space=replace(made.space, quantization=(Quantization.BF16,))
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
