"""What docs/ tells is run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from objectives.forms import FORMS

ROOT = Path(__file__).parents[1]
OWN_DATA = ROOT / "docs" / "own_data.md"
SHARED = ROOT.parent / "shared" / "data"


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_all_forms_are_in_the_page_about_own_data() -> None:
    """With their fields."""
    text = OWN_DATA.read_text(encoding="utf-8")
    for form in FORMS:
        assert form.name in text
        assert all(f"`{field}`" in text for field in form.fields)


def test_the_page_s_prior_is_one() -> None:
    """The lines about priors make a study that has one."""
    *_, lines = blocks(OWN_DATA, "python")
    names: dict[str, Any] = {}
    exec(lines, names)  # our own page
    assert names["study"]().space.priors["learning_rate"].best == 1e-3


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs GSM8K and BBQ in {SHARED}")
def test_five_real_and_generated_sources_run_end_to_end(tmp_path: Path) -> None:
    """The page's own lines, on the real model, in a budget shorter than the page's."""
    (tmp_path / "data" / "bbq").mkdir(parents=True)
    (tmp_path / "data" / "gsm8k.jsonl").symlink_to(SHARED / "gsm8k" / "train.jsonl")
    for name in ("Age", "Religion"):
        (tmp_path / "data" / "bbq" / f"{name}.jsonl").symlink_to(SHARED / "bbq" / f"{name}.jsonl")
    convert, study, _ = blocks(OWN_DATA, "python")
    (tmp_path / "five.py").write_text(study, encoding="utf-8")
    (command,) = blocks(OWN_DATA, "sh")
    words = shlex.split(command.replace("15m", "6m"))
    assert words[0] == "python"
    subprocess.run([sys.executable, "-c", convert], cwd=tmp_path, check=True)
    subprocess.run(
        [sys.executable, *words[1:]],
        cwd=tmp_path,
        check=True,
        env=environment(),
        stdout=subprocess.DEVNULL,
    )
    data = json.loads((tmp_path / "five" / "data.json").read_text(encoding="utf-8"))
    assert set(data["sources"]) == {"gsm8k", "bbq", "sums", "words", "family"}
    assert data["sources"]["bbq"]["licence"] == "CC-BY-4.0"
    facts = json.loads((tmp_path / "five" / "recipe" / "recipe.json").read_text("utf-8"))
    asked, got = facts["recipe"]["mixture"], facts["training"]["shares"]
    assert set(got) == set(asked) == set(data["sources"])
    seen = {name for name, share in got.items() if share > 0}  # a small share may owe no row yet
    assert {name for name, share in asked.items() if share > 0.05} <= seen
    trained = (tmp_path / "five" / "recipe" / "data" / "train.jsonl").read_text("utf-8")
    assert {json.loads(line)["source"] for line in trained.splitlines()} == seen


def environment() -> dict[str, str]:
    """This process's environment, with the package to be found from any folder."""
    return os.environ | {"PYTHONPATH": str(ROOT)}
