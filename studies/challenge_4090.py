"""The challenge's track on one RTX 4090 (24 GB): `--study challenge_4090 --budget 24h`."""

from __future__ import annotations

from dataclasses import replace

from spaces import Quantization
from studies.challenge import DEFAULT, track
from studies.study import Expert, Study


def study() -> Study:
    """The default in 4 bits, and three finalists who trained in 4 bits."""
    small = replace(DEFAULT, quantization=Quantization.NF4)
    return track(
        "challenge_4090",
        (
            Expert(
                name="default",
                why="rank 16, alpha 32, all layers, 2e-4, in 4 bits: what most trainers ship with",
                recipe=small,
            ),
            Expert(
                name="birbal",
                why="Upaya's Birbal, first on the 4090 (theirs: packs of 8192 tokens, NEFTune)",
                recipe=replace(
                    small,
                    rank=128,
                    alpha=256,
                    learning_rate=2e-5,
                    max_length=4096,
                    tokens_per_step=65536,
                ),
            ),
            Expert(
                name="knovel",
                why="Knovel, third on the 4090 with under 7 million tokens (theirs: the head too)",
                recipe=replace(small, rank=8, learning_rate=2e-5),
            ),
            Expert(
                name="lingjoor",
                why="lingjoor, fourth on the A100 with under 1000 rows: the finalists' highest "
                "rate, on eight padded rows a step",
                recipe=replace(
                    small,
                    rank=8,
                    alpha=16,
                    learning_rate=4e-4,
                    packing=False,
                    tokens_per_step=4096,
                ),
            ),
        ),
    )
