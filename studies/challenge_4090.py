"""The challenge's track on one RTX 4090 (24 GB): `--study challenge_4090 --budget 24h`."""

from __future__ import annotations

from spaces import Quantization
from studies.challenge import track
from studies.study import Study


def study() -> Study:
    """The default and nine finalists' recipes, all in 4 bits: the card's memory is small."""
    return track("challenge_4090", Quantization.NF4, only=True)
