"""The report's page in a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.simulated import Simulation

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def chrome() -> str:
    """A browser of the Chromium family."""
    found = os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed, and CHROME is not set")
    return found


def seen(chrome: str, page: Path, profile: Path, *flags: str) -> tuple[str, str]:
    """(the page's elements once its scripts ran, what the browser complained of)."""
    done = subprocess.run(
        [
            chrome,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--enable-logging=stderr",
            f"--user-data-dir={profile}",
            "--virtual-time-budget=8000",
            *flags,
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, "\n".join(complaints)


@pytest.mark.slow
def test_figures_answer_to_a_pointer(chrome: str, tmp_path: Path) -> None:
    """Opened as a file: both are drawn, in the page's colours, and the policy hinders nothing."""
    job = Simulation(tmp_path / "run", budget_s=3600)
    job.reported = True
    job.run()
    page = tmp_path / "run" / "report" / "index.html"
    dom, complaints = seen(chrome, page, tmp_path / "light")
    assert complaints == ""
    assert dom.count('class="card drawn"') == 2
    assert dom.count('class="live js-plotly-plot"') == 2
    drawn = dom.partition("js-plotly-plot")[2].partition("</figure>")[0]
    assert "Pareto front" in drawn
    assert "rgb(29, 35, 41)" in drawn  # the page's ink
    dark, _ = seen(chrome, page, tmp_path / "dark", "--blink-settings=preferredColorScheme=0")
    drawn = dark.partition("js-plotly-plot")[2].partition("</figure>")[0]
    assert "rgb(231, 233, 236)" in drawn  # its ink in the dark


@pytest.mark.slow
def test_a_page_whose_library_was_changed_keeps_its_drawings(chrome: str, tmp_path: Path) -> None:
    """The policy runs no script but those whose hashes it tells."""
    job = Simulation(tmp_path / "run", budget_s=3600)
    job.reported = True
    job.run()
    page = tmp_path / "run" / "report" / "index.html"
    text = page.read_text(encoding="utf-8")
    hostile = text.replace("</main>", "</main><script>document.title = 'taken'</script>")
    page.write_text(hostile.replace("script-src 'sha256-", "script-src 'sha256-A", 1))
    dom, complaints = seen(chrome, page, tmp_path / "profile")
    assert "<title>taken" not in dom
    assert "js-plotly-plot" not in dom
    assert dom.count('class="card"') >= 2
    assert "Content Security Policy" in complaints
