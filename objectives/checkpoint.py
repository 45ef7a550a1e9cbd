"""A trial's checkpoint on disk: adapter, optimizer moments and stream cursor. No pickles.

A checkpoint is a folder `step-NNNNNNN` that appears by one rename, so it is whole or absent.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from objectives.mixture import Cursor
from objectives.objective import Schedule
from search.errors import WorkerFailed

MOST_PENDING = 2
"""Checkpoints that may wait in memory to be written."""


@dataclass(slots=True)
class State:
    """Everything of a trial but its tensors."""

    recipe: dict[str, Any]
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    """Seconds of training behind these steps."""
    cursor: Cursor = field(default_factory=Cursor)
    curve: list[tuple[int, float]] = field(default_factory=list)
    decaying: Schedule | None = None
    """The schedule, once its decay has begun: it can no longer change."""


def newest(folder: Path) -> Path | None:
    """The newest whole checkpoint of a trial's folder, if there is one."""
    found = sorted(folder.glob("step-*[0-9]"))
    return found[-1] if found else None


class Writer:
    """Writes checkpoints while training goes on: copies are taken at once, files follow."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: list[tuple[Path, Future[None]]] = []

    def save(
        self,
        folder: Path,
        state: State,
        adapter: Mapping[str, torch.Tensor],
        moments: Mapping[str, Mapping[str, torch.Tensor]],
    ) -> None:
        """Begin to write a checkpoint, which drops older ones; `wait` until it is there.

        Args:
            folder: the trial's folder.
            state: the trial's state.
            adapter: trainable tensors by name.
            moments: the optimizer's, by kind and then by name.

        Raises:
            OSError, SafetensorError: one before could not be written.
        """
        self.wait(folder)
        while len(self._pending) >= MOST_PENDING:
            self._pending.pop(0)[1].result()
        target = folder / f"step-{state.step:07d}"
        if target.exists():
            return  # the same step gives the same checkpoint, and there must always be one
        text = json.dumps(asdict(state)) + "\n"
        files = {"adapter": _copies(adapter)}
        flat = {f"{kind}/{name}": t for kind, own in moments.items() for name, t in own.items()}
        if flat:
            files["optimizer"] = _copies(flat)
        self._pending.append((folder, self._thread.submit(_write, target, text, files)))

    def wait(self, folder: Path | None = None) -> None:
        """Until what was saved, of one trial or of all, is on the disk.

        Raises:
            OSError, SafetensorError: it could not be written.
        """
        own = [job for job in self._pending if folder in {None, job[0]}]
        self._pending = [job for job in self._pending if job not in own]
        for _, written in own:
            written.result()


def _copies(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """On the CPU, each in a memory of its own: the originals train on."""
    return {
        name: t.detach().contiguous().to("cpu", copy=t.device.type == "cpu")
        for name, t in tensors.items()
    }


def _write(target: Path, state: str, files: Mapping[str, dict[str, torch.Tensor]]) -> None:
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, tensors in files.items():
        save_file(tensors, part / f"{name}.safetensors")
    (part / "state.json").write_text(state, encoding="utf-8")
    part.replace(target)
    for old in target.parent.glob("step-*"):
        if old != target:
            shutil.rmtree(old, ignore_errors=True)


def read_state(checkpoint: Path) -> State:
    """The state in a checkpoint folder.

    Raises:
        WorkerFailed: it is damaged.
    """
    try:
        fields = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        fields["cursor"] = Cursor(**fields["cursor"])
        fields["curve"] = [(int(tokens), float(loss)) for tokens, loss in fields["curve"]]
        if fields["decaying"]:
            fields["decaying"] = Schedule(**fields["decaying"])
        return State(**fields)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WorkerFailed(f"the checkpoint {checkpoint} is damaged ({error})") from None


def read_tensors(
    checkpoint: Path,
) -> tuple[dict[str, torch.Tensor], dict[str, dict[str, torch.Tensor]]]:
    """The adapter and the optimizer's moments in a checkpoint folder, as `save` took them.

    Raises:
        WorkerFailed: a file is damaged.
    """
    try:
        adapter = load_file(checkpoint / "adapter.safetensors")
        file = checkpoint / "optimizer.safetensors"
        flat = load_file(file) if file.exists() else {}
    except Exception as error:  # noqa: BLE001  # safetensors has its own error class per failure
        raise WorkerFailed(f"the checkpoint {checkpoint} is damaged ({error})") from None
    moments: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in flat.items():
        kind, _, name = key.partition("/")
        moments.setdefault(kind, {})[name] = tensor
    return adapter, moments
