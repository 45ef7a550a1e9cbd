"""How fast a GPU multiplies matrices: whether starting kernels or computing limits a pass."""

from __future__ import annotations

import statistics
import time

import torch

SHAPE = (8192, 4096, 14336)
"""Rows, inner and columns of a product as models of 7B have it."""


def matmul_speed(device: torch.device, rounds: int = 3) -> float:
    """FLOP/s of a large bfloat16 matrix product: the median of some rounds after a first one."""
    rows, inner, columns = SHAPE
    a = torch.randn(rows, inner, device=device, dtype=torch.bfloat16)
    b = torch.randn(inner, columns, device=device, dtype=torch.bfloat16)
    found = []
    for _ in range(rounds + 1):
        torch.cuda.synchronize(device)
        began = time.perf_counter()
        for _ in range(5):
            torch.mm(a, b)
        torch.cuda.synchronize(device)
        found.append(5 * 2 * rows * inner * columns / (time.perf_counter() - began))
    return statistics.median(found[1:])
