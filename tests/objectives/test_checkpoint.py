"""Checkpoints are written beside the training: whole, in order, of the moment asked for."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from objectives import checkpoint
from objectives.checkpoint import State, Writer


def state(step: int) -> State:
    """A trial's after `step` steps."""
    return State(recipe={"rank": 4}, step=step)


def moments(weights: torch.Tensor) -> dict[str, dict[str, torch.Tensor]]:
    """An optimizer's."""
    return {"exp_avg": {"a": weights / 2}, "step": {"step": torch.tensor(3.0)}}


def test_a_checkpoint_is_of_the_moment_it_was_asked_for(tmp_path: Path) -> None:
    """Whatever the tensors and the state become while it is written."""
    writer, weights, own = Writer(), torch.arange(12.0).reshape(3, 4), state(1)
    for step in (1, 2, 3):
        own.step = step
        writer.save(tmp_path, own, {"a": weights[:, :2]}, moments(weights))
        own.curve.append((step, 0.5))
        weights.add_(100)
    writer.wait()
    found = checkpoint.newest(tmp_path)
    assert found == tmp_path / "step-0000003"
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000003"]
    assert checkpoint.read_state(found).curve == [(1, 0.5), (2, 0.5)]
    adapter, kept = checkpoint.read_tensors(found)
    expected = torch.arange(12.0).reshape(3, 4) + 200
    assert torch.equal(adapter["a"], expected[:, :2])
    assert torch.equal(kept["exp_avg"]["a"], expected / 2)


def test_a_checkpoint_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """At the next wait or save, and once; the one before stays."""
    writer = Writer()
    writer.save(tmp_path / "0", state(1), {"a": torch.ones(2)}, {})
    writer.wait()
    (tmp_path / "0" / "step-0000002.part").write_text("no folder")
    writer.save(tmp_path / "0", state(2), {"a": torch.ones(2)}, {})
    with pytest.raises(OSError, match=r"step-0000002\.part"):
        writer.wait()
    writer.wait()
    assert checkpoint.newest(tmp_path / "0") == tmp_path / "0" / "step-0000001"


def test_trials_do_not_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial's own checkpoint is waited for; of others', two may be behind."""
    writer, gate, begun = Writer(), threading.Event(), []

    def slow(target: Path, *_: object) -> None:
        begun.append(target.parent.name)
        assert gate.wait(10)

    monkeypatch.setattr(checkpoint, "_write", slow)
    for trial in ("0", "1"):
        writer.save(tmp_path / trial, state(1), {"a": torch.ones(2)}, {})
    writer.wait(tmp_path / "2")
    assert begun in ([], ["0"])
    threading.Timer(0.2, gate.set).start()
    writer.save(tmp_path / "2", state(1), {"a": torch.ones(2)}, {})
    assert gate.is_set()
    writer.wait()
    assert begun == ["0", "1", "2"]
