"""What nine finalists of the 2023 challenge trained with, as far as the space has axes for it.

From their published files, in the order of their places (4090, then A100). Rows are rounded to the
space: lengths to 1024, 2048 or 4096 tokens, batches of rows to tokens per step. None of them
published a search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spaces import Quantization, Targets

BF16, INT8, NF4 = Quantization.BF16, Quantization.INT8, Quantization.NF4


@dataclass(frozen=True, kw_only=True, slots=True)
class Finalist:
    """A finalist's recipe."""

    name: str
    why: str
    """What places it took, and what of its recipe the space has no axis for."""
    fields: dict[str, Any]
    """That differ from the track's default."""


FINALISTS = (
    Finalist(
        name="birbal",
        why="Upaya's Birbal, first on the 4090 (theirs: packs of 8192 tokens, NEFTune)",
        fields={
            "rank": 128,
            "alpha": 256,
            "quantization": NF4,
            "learning_rate": 2e-5,
            "max_length": 4096,
            "tokens_per_step": 65536,
        },
    ),
    Finalist(
        name="reallm",
        why="ReaLLM Conquerors, second on the 4090 and third on the A100 with Qwen-14B: 16 "
        "padded rows of up to 1600 tokens a step",
        fields={
            "rank": 128,
            "alpha": 32,
            "quantization": NF4,
            "learning_rate": 3e-5,
            "packing": False,
        },
    ),
    Finalist(
        name="knovel",
        why="Knovel, third on the 4090 with under 7 million tokens (theirs: the head too)",
        fields={"rank": 8, "alpha": 32, "quantization": NF4, "learning_rate": 2e-5},
    ),
    Finalist(
        name="matthewdouglas",
        why="matthewdouglas, seventh on the 4090: the default's rate at twice its rank, packs "
        "of 2048 tokens, 32 a step",
        fields={"rank": 32, "alpha": 16, "quantization": NF4, "tokens_per_step": 65536},
    ),
    Finalist(
        name="percent-bfd",
        why="Percent_bfd, first on the A100 with Qwen-14B: eight padded rows of up to 1024 "
        "tokens a step (theirs: attention and the MLP's down projection)",
        fields={
            "rank": 8,
            "targets": Targets.ATTENTION,
            "quantization": BF16,
            "learning_rate": 5e-5,
            "packing": False,
            "max_length": 1024,
            "tokens_per_step": 4096,
        },
    ),
    Finalist(
        name="msr-india",
        why="Tiered Model Ninja of MSR India, second on the A100: 32 short rows a step "
        "(theirs: queries and values only)",
        fields={
            "rank": 8,
            "targets": Targets.ATTENTION,
            "quantization": INT8,
            "learning_rate": 1e-4,
            "packing": False,
            "tokens_per_step": 4096,
        },
    ),
    Finalist(
        name="lingjoor",
        why="lingjoor, fourth on the A100 with under 1000 rows: the finalists' highest rate, "
        "on eight padded rows a step",
        fields={
            "rank": 8,
            "alpha": 16,
            "quantization": NF4,
            "learning_rate": 4e-4,
            "packing": False,
            "tokens_per_step": 4096,
        },
    ),
    Finalist(
        name="kowndinya",
        why="kowndinya, fifth on the A100: 64 short rows a step (theirs: the head too)",
        fields={
            "rank": 64,
            "quantization": BF16,
            "learning_rate": 1e-4,
            "packing": False,
            "max_length": 1024,
        },
    ),
    Finalist(
        name="njust",
        why="NJUST, sixth on the A100 with its best hidden score: the finalists' smallest "
        "adapter (theirs: rank 3 on the attention's output alone), 32 padded rows a step",
        fields={
            "rank": 4,
            "alpha": 16,
            "targets": Targets.ATTENTION,
            "quantization": BF16,
            "learning_rate": 2e-5,
            "packing": False,
        },
    ),
)
