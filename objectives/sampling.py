"""The choice of the next token: each row of a batch by its own rules and its own random numbers."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from objectives.generator import Ask


class Chooser:
    """Chooses tokens for one request."""

    def __init__(self, ask: Ask) -> None:
        """Random numbers depend on the request's seed alone, not on what is in its batch."""
        self.ask = ask
        self._random = random.Random(ask.seed)

    def draw(self) -> float:
        """The next random number, in [0, 1)."""
        return self._random.random()


def choose(logits: torch.Tensor, rows: Sequence[Chooser]) -> torch.Tensor:
    """The next token of every row.

    Of the `top_k` most likely tokens after division by the temperature, the fewest whose
    probabilities (of the `top_k` together: 1) sum up to `top_p` are drawn from, as transformers
    does. Drawing is by one random number and the cumulated probabilities.

    Args:
        logits: float32 [B, V].
        rows: B.

    Returns:
        int64 [B].
    """
    chosen = logits.argmax(-1)
    drawing = [place for place, row in enumerate(rows) if not row.ask.greedy]
    if not drawing:
        return chosen
    asks = [rows[place].ask for place in drawing]
    device, size = logits.device, logits.shape[-1]
    tops = [min(ask.top_k or size, size) for ask in asks]
    ranked, tokens = logits[drawing].topk(max(tops), dim=-1)
    warmth = torch.tensor([ask.temperature for ask in asks], device=device)
    ranked = (ranked - ranked[:, :1]) / warmth[:, None]  # at most 0: never overflows
    beyond = torch.arange(max(tops), device=device) >= torch.tensor(tops, device=device)[:, None]
    shares = ranked.masked_fill(beyond, float("-inf")).softmax(-1)
    most = torch.tensor([ask.top_p for ask in asks], device=device)
    before = shares.cumsum(-1) - shares
    out = before >= most[:, None]
    out[:, 0] = False  # the most likely one is always left
    sums = shares.masked_fill(out, 0.0).cumsum(-1)
    drawn = torch.tensor([rows[place].draw() for place in drawing], device=device)
    wanted = drawn * sums[:, -1]
    place = (sums > wanted[:, None]).int().argmax(-1)
    chosen[drawing] = tokens.gather(-1, place[:, None])[:, 0]
    return chosen
