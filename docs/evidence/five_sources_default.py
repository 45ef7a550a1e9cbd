"""The baseline of `five_sources.py`: the default recipe gets the budget instead of a search.

`python -m search.run --budget 4m --study docs/evidence/five_sources_default.py`: all axes are fixed
at the default's values, and 92 % of the time is the final run's. A mixture cannot be fixed: four
trials at the first rung, the default among them, choose it, which is more than a default has.
Then `python -m search.compare SEARCHED BASELINE` sets both side by side on the same items.
"""

from dataclasses import replace
from pathlib import Path
from runpy import run_path

from spaces import Space
from studies.study import Study


def study() -> Study:
    """The same sources, tasks and default; nothing to search but the mixture."""
    searched: Study = run_path(str(Path(__file__).with_name("five_sources.py")))["study"]()
    recipe = searched.default
    return replace(
        searched,
        name="five_sources_default",
        space=Space(
            rank=(recipe.rank, recipe.rank),
            alpha_ratio=(recipe.alpha / recipe.rank,),
            targets=(recipe.targets,),
            quantization=(recipe.quantization,),
            packing=(recipe.packing,),
            max_length=(recipe.max_length,),
            learning_rate=(recipe.learning_rate, recipe.learning_rate),
            tokens_per_step=(recipe.tokens_per_step,),
            natural_mixture=recipe.mixture,
        ),
        experts=searched.experts[:1],
        bracket=4,
        final_share=0.92,
        fixed_split=True,
    )
