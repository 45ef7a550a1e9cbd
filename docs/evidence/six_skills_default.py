"""The baseline of `six_skills.py`: the default recipe gets the budget instead of a search.

`python -m search.run --budget 4m --study docs/evidence/six_skills_default.py`, then
`python -m search.compare SEARCHED BASELINE` sets both side by side on the same items.
"""

from pathlib import Path
from runpy import run_path

from studies.default_alone import default_alone
from studies.study import Study


def study() -> Study:
    """The same sources, tasks and default."""
    searched: Study = run_path(str(Path(__file__).with_name("six_skills.py")))["study"]()
    return default_alone(searched)
