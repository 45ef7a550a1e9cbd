"""What this CPU can do, asked without torch."""

from __future__ import annotations

from pathlib import Path


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware (Linux; elsewhere the answer is no)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
