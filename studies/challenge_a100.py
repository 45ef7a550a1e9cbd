"""The challenge's track on one A100 (40 GB): `--study challenge_a100 --budget 24h`."""

from __future__ import annotations

from dataclasses import replace

from spaces import Quantization, Targets
from studies.challenge import DEFAULT, track
from studies.study import Expert, Study


def study() -> Study:
    """The default in 16 bits, and three of the track's finalists."""
    return track(
        "challenge_a100",
        (
            Expert(
                name="default",
                why="rank 16, alpha 32, all layers, 2e-4, in 16 bits: what most trainers ship with",
                recipe=DEFAULT,
            ),
            Expert(
                name="percent-bfd",
                why="Percent_bfd, first on the A100 with Qwen-14B: eight padded rows of up to 1024 "
                "tokens a step (theirs: attention and the MLP's down projection)",
                recipe=replace(
                    DEFAULT,
                    rank=8,
                    targets=Targets.ATTENTION,
                    learning_rate=5e-5,
                    packing=False,
                    max_length=1024,
                    tokens_per_step=4096,
                ),
            ),
            Expert(
                name="msr-india",
                why="Tiered Model Ninja of MSR India, second on the A100: 32 short rows a step "
                "(theirs: queries and values only)",
                recipe=replace(
                    DEFAULT,
                    rank=8,
                    targets=Targets.ATTENTION,
                    quantization=Quantization.INT8,
                    learning_rate=1e-4,
                    packing=False,
                    tokens_per_step=4096,
                ),
            ),
            Expert(
                name="reallm",
                why="ReaLLM Conquerors, third on the A100 with Qwen-14B: 16 padded rows of up to "
                "1600 tokens a step",
                recipe=replace(
                    DEFAULT,
                    learning_rate=3e-5,
                    packing=False,
                ),
            ),
        ),
    )
