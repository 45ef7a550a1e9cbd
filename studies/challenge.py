"""NeurIPS 2023's challenge "1 LLM + 1 GPU + 1 Day": what its two tracks have in common.

Base model and data keep the challenge's rules (studies/challenge_rules.py); another `--model` or
`--data` is held to them too. Searched are lm-eval's versions of the organisers' open scenarios (of
BIG-bench two tasks of their list); held out are their hidden ones: SAMSum, corr2cause, MATH and
ETHICS. lm-eval has no corr2cause and no SAMSum as such, and its ETHICS cannot be had: the dataset
is a script, which `datasets` 4 refuses. Those are task files of ours, in challenge_tasks/.

The space spans what the finalists did, as far as it has axes for it: rank 3 to 128, alpha 0.25 to 5
times the rank, rate 2e-5 to 4e-4, about 3,000 to 65,000 tokens a step, rows of 512 to 8192 tokens.
None of them published a search; this one starts from their recipes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spaces import Prior, Quantization, Recipe, Space, Targets
from studies.challenge_finalists import FINALISTS
from studies.challenge_rules import check
from studies.study import Expert, HubDataset, LmEval, Source, Study, Task

MODEL = "mistralai/Mistral-7B-v0.1"
"""The base of the first on the 4090 and of the second on the A100. Qwen-14B, the base of the first
there, is allowed as well, but brings code of its own (`--trust-remote-code`)."""

SOURCES = (
    Source(
        name="flan",
        origin=HubDataset(id="ai2-adapt-dev/flan_v2_converted"),
        weight=0.5,
        licence="Apache-2.0",
        made_by="human",
    ),
    Source(
        name="dolly",
        origin=HubDataset(id="databricks/databricks-dolly-15k"),
        weight=0.2,
        licence="CC-BY-SA-3.0",
        made_by="human",
    ),
    Source(
        name="oasst1",
        origin=HubDataset(id="ai2-adapt-dev/oasst1_converted"),
        weight=0.15,
        licence="Apache-2.0",
        made_by="human",
    ),
    Source(
        name="gsm8k-train",
        origin=HubDataset(id="openai/gsm8k", config="main"),
        weight=0.15,
        licence="MIT",
        made_by="human",
    ),
)
"""People's work only. Half of it are many tasks in many forms, as in Upaya's mixture (arXiv
2403.02247); FLAN, OASST1 and Dolly are among the organisers' own examples."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'system' %}{{ message.content }}\n\n"
    "{% elif message.role == 'user' %}### Question:\n{{ message.content }}\n\n### Answer:\n"
    "{% else %}{{ message.content }}{{ eos_token }}\n\n{% endif %}"
    "{% endfor %}"
)
"""The base models that are allowed have none."""

SEARCHED = (
    "mmlu",
    "truthfulqa_mc1",
    "bbq",
    "gsm8k",
    "bigbench_strategyqa_multiple_choice",
    "bigbench_logical_deduction_multiple_choice",
)
TASKS = Path(__file__).parent / "challenge_tasks"
OURS = "challenge_"
"""What the names of our own task files there begin with."""
HELD_OUT = (
    "challenge_samsum",
    "challenge_corr2cause",
    "hendrycks_math",
    *(
        f"challenge_ethics_{part}"
        for part in ("commonsense", "deontology", "justice", "utilitarianism", "virtue")
    ),
)

DEFAULT = Recipe(
    rank=16,
    alpha=32,
    targets=Targets.ALL_LINEAR,
    quantization=Quantization.BF16,
    packing=True,
    max_length=2048,
    learning_rate=2e-4,
    tokens_per_step=16384,
    mixture={source.name: source.weight for source in SOURCES},
)
"""What most trainers ship with."""


PRIORS = {
    "learning_rate": Prior(
        best=3e-4,
        within=2.5,
        why="LoRA's best rate is about ten times that of full fine-tuning, 2.9e-4 at this model's "
        "width, whatever the rank (LoRA Without Regret, Thinking Machines, 2025); the finalists "
        "took 2e-5 to 4e-4",
    ),
    "targets": Prior(
        best=Targets.ALL_LINEAR,
        confidence=0.5,
        why="adapters on all layers learn as full fine-tuning does, on attention alone less well "
        "(LoRA Without Regret)",
    ),
}
"""What was known of the axes in 2025, two years after the challenge."""


def track(name: str, quantization: Quantization, *, only: bool = False) -> Study:
    """The study of one track, on the common space.

    Args:
        name: of the study.
        quantization: of the default recipe.
        only: of the finalists' as well.
    """
    default = replace(DEFAULT, quantization=quantization)
    experts = [
        Expert(
            name="default",
            why=f"rank 16, alpha 32, all layers, 2e-4, {quantization}: what most trainers have",
            recipe=default,
        )
    ]
    for finalist in FINALISTS:
        own = finalist.fields | ({"quantization": quantization} if only else {})
        recipe = replace(default, **own)
        experts.append(Expert(name=finalist.name, why=finalist.why, recipe=recipe))
    return Study(
        name=name,
        model=MODEL,
        sources=SOURCES,
        tasks=tuple(Task(name=task, origin=LmEval(task=task)) for task in SEARCHED),
        heldout=tuple(
            Task(
                name=task,
                origin=LmEval(task=task, include_path=TASKS if task.startswith(OURS) else None),
            )
            for task in HELD_OUT
        ),
        space=Space(
            rank=(4, 256),
            alpha_ratio=(0.25, 0.5, 1, 2, 4),
            max_length=(1024, 2048, 4096),
            learning_rate=(2e-5, 1e-3),
            tokens_per_step=(4096, 16384, 65536),
            natural_mixture=DEFAULT.mixture,
            priors=PRIORS,
        ),
        experts=tuple(experts),
        search_items=100,  # 600 in all, as many as the organisers' screening asked
        finalist_items=100,
        final_items=200,
        heldout_items=100,
        first_rung_tokens=131_072,
        chat_template=CHAT_TEMPLATE,
        rules=check,
    )
