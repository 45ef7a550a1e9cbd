"""The challenge's track on one A100 (40 GB): `--study challenge_a100 --budget 24h`."""

from __future__ import annotations

from spaces import Quantization
from studies.challenge import track
from studies.study import Study


def study() -> Study:
    """The default in 16 bits, and nine finalists' recipes in as many as they took."""
    return track("challenge_a100", Quantization.BF16)
