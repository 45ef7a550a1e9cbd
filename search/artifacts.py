"""Files of a run that optuna-dashboard offers to download: copies in RUN_DIR/artifacts."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from optuna.artifacts import FileSystemArtifactStore, upload_artifact

from search.folder import RunFolder
from search.pending import Pending
from search.report.facts import hidden_of, without_paths

if TYPE_CHECKING:
    import optuna

    from search.store import Store

OF_STUDY = (
    "report/index.html",
    "report/pareto.png",
    "recipe/recipe.json",
    "recipe/adapter/adapter_config.json",
    "recipe/adapter/adapter_model.safetensors",
    "summary.json",
)
"""Files of the run folder that are artifacts of the study."""
OF_WINNER = ("recipe/recipe.json",)
"""Those that are artifacts of the trial that the final run went on from."""
LARGEST = 64 * 2**20
"""Bytes; larger files are no artifacts, of which a copy is kept."""


class Copies(FileSystemArtifactStore):
    """A folder of artifacts: each file is whole or absent, and what was added can be taken back."""

    def __init__(self, target: Path) -> None:
        """In a folder, which must be there."""
        super().__init__(target)
        self.target = target
        self._added: list[Path] = []

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a file; whoever is reading its former self goes on reading that.

        Raises:
            OSError: it could not be written; a former one is as it was.
        """
        file, part = (self.target / name for name in (artifact_id, f"{artifact_id}.part"))
        new = not file.exists()
        try:
            with part.open("wb") as made:
                shutil.copyfileobj(content_body, made)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
        if new:
            self._added.append(file)

    def take_back(self) -> None:
        """Remove the files that were not there before."""
        for file in self._added:
            file.unlink(missing_ok=True)


class Artifacts:
    """The artifacts of one study."""

    def __init__(self, folder: RunFolder, store: Store) -> None:
        """Of a run folder, whose lock the caller holds."""
        self._folder = folder
        self._store = store
        self._known: dict[tuple[int | None, str], object] = {}
        """What was attached last, by trial (None: the study) and name of the file."""

    def attach(self) -> None:
        """Bring them up to date: a file that changed takes the place of its former self.

        Raises:
            Exception: whatever a broken database or run folder raises; no copy is left behind.
        """
        winner = self._store.noted("winner")
        wanted: list[tuple[int | None, str]] = [(None, name) for name in OF_STUDY]
        wanted += [(winner, name) for name in OF_WINNER if winner is not None]
        stamps = {key: stamp_of(self._folder.path / key[1]) for key in wanted}
        changed = [key for key in wanted if stamps[key] and stamps[key] != self._known.get(key)]
        if not changed:
            return
        target = self._folder.path / "artifacts"
        target.mkdir(exist_ok=True)
        copies = Copies(target)
        try:
            self._put(changed, copies)
        except BaseException:
            copies.take_back()  # nothing leads to them
            raise
        self._known |= {key: stamps[key] for key in changed}

    def _put(self, changed: list[tuple[int | None, str]], copies: Copies) -> None:
        pending = Pending(self._store.study)
        with tempfile.TemporaryDirectory() as shown:
            for number, name in changed:
                owner: Any = pending.study
                prefix = "artifacts:"
                if number is not None:
                    owner = self._store.study.get_trials(deepcopy=False)[number]
                    prefix = f"dashboard:artifacts:{owner._trial_id}:"
                file = for_others(self._folder, name, Path(shown))
                if file is not None:
                    put(file, copies, linked(pending.known, prefix).get(file.name), owner, pending)
        pending.write(self._folder.path / "study.db")


def stamp_of(file: Path) -> tuple[int, int, int] | None:
    """What tells a file from another that was there before; None if there is none."""
    if not file.is_file():
        return None
    found = file.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def for_others(folder: RunFolder, name: str, copies: Path) -> Path | None:
    """A file of a run folder as others may see it; None if there is none, or a large one.

    Args:
        folder: the run folder.
        name: of the file in it.
        copies: where to put a copy of summary.json if a path of the user is in it, as where the
            base model is a folder: all other files were written for others.
    """
    file = folder.path / name
    if not file.is_file() or file.stat().st_size > LARGEST:
        return None
    if name == "summary.json":
        content = folder.read(name)
        shown = without_paths(content, hidden_of(folder))
        if shown != content:
            file = copies / name
            file.write_text(json.dumps(shown, indent=2) + "\n", encoding="utf-8")
    return file


def put(
    file: Path, copies: Copies, former: str | None, owner: optuna.Study, pending: Pending
) -> None:
    """Make a file an artifact of a study or trial, in the place of the former one if there is one.

    Args:
        file: the file.
        copies: the artifacts' folder.
        former: the former one's id.
        owner: a study or trial.
        pending: the attributes that link artifacts.
    """
    if former is None:
        upload_artifact(
            artifact_store=copies,
            file_path=str(file),
            study_or_trial=owner,
            storage=pending,  # type: ignore[arg-type]
        )
    elif not same(file, copies.target / former):
        with file.open("rb") as content:
            copies.write(former, content)


def linked(attributes: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """Ids of artifacts by the names of their files; those deleted in the dashboard are left out.

    Args:
        attributes: of a study.
        prefix: how the keys of the artifacts in question begin.
    """
    found = {}
    for key, value in attributes.items():
        if key.startswith(prefix) and (meta := json.loads(value)):
            found[meta["filename"]] = meta["artifact_id"]
    return found


def same(one: Path, other: Path) -> bool:
    """Whether two files hold the same."""
    return other.is_file() and one.read_bytes() == other.read_bytes()
