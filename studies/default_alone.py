"""The baseline of a search: a study in which the default recipe gets the whole budget.

`search.compare` sets a run of the study and one of its baseline side by side, on the same items:

    from studies.default_alone import default_alone
    from my_study import study as searched

    def study():
        return default_alone(searched())
"""

from __future__ import annotations

from dataclasses import replace

from spaces import Space
from studies.study import Study

FINAL_SHARE = 0.92
"""Of the time that fixed costs leave."""
TRIALS = 4
"""At the first rung, the default's own among them: a mixture cannot be fixed, so they choose it.
That is more than a default has."""


def default_alone(study: Study) -> Study:
    """`study` with all axes but the mixture's fixed at the default's values, and a fixed split."""
    recipe = study.default
    return replace(
        study,
        name=f"{study.name}_default",
        space=Space(
            rank=(recipe.rank, recipe.rank),
            alpha_ratio=(recipe.alpha / recipe.rank,),
            targets=(recipe.targets,),
            quantization=(recipe.quantization,),
            packing=(recipe.packing,),
            max_length=(recipe.max_length,),
            learning_rate=(recipe.learning_rate, recipe.learning_rate),
            tokens_per_step=(recipe.tokens_per_step,),
            natural_mixture=study.space.natural_mixture,
            axes=tuple(
                replace(axis, choices=(recipe.extra[axis.name],), interval=None, log=False)
                for axis in study.space.axes
            ),
        ),
        experts=study.experts[:1],
        bracket=TRIALS,
        final_share=FINAL_SHARE,
        fixed_split=True,
    )
