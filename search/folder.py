"""The run folder: whose job it is, who works there, and its small files."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from objectives.objective import Scores, TaskScore
from objectives.rows import iterate_jsonl, verify
from search import formats
from search.errors import BadInput

BRIEFLY = " briefly"
"""What stands in the lock behind the number of a process that holds it for seconds only."""
PATIENCE_S, AGAIN_S = 30.0, 0.1
"""Seconds to wait for such a one, and from one look to the next."""


@dataclass(slots=True)
class RunFolder:
    """Paths and small files of a run folder; one process at a time."""

    path: Path
    _lock: IO[str] | None = field(default=None, repr=False)

    @property
    def ledger(self) -> Path:
        """The ledger file."""
        return self.path / "ledger.jsonl"

    def open(self, job: Mapping[str, Any], also: Mapping[str, Any] | None = None) -> bool:
        """Create the folder, or check that it belongs to this job; returns whether it existed.

        Args:
            job: what makes the job what it is.
            also: further facts to write into a new job.json.

        Raises:
            BadInput: not writable, in use, or another job's (what differs is named).
        """
        if bad := set("?%#") & set(str(self.path.resolve())):
            raise BadInput(
                f"--out {self.path}: the path may not hold {min(bad)!r}, which means something "
                "else in a database's address; choose another folder"
            )
        try:
            existed = (self.path / "job.json").is_file()
            found = {file.name for file in self.path.iterdir()} if self.path.is_dir() else set()
            if not existed and found - {"artifacts", "lock", "job.json.part"}:
                raise BadInput(
                    f"--out {self.path}: the folder holds something that is no run; "
                    "choose an empty or a new folder"
                )
            (self.path / "artifacts").mkdir(parents=True, exist_ok=True)  # for optuna-dashboard
            self._lock = (self.path / "lock").open("a+", encoding="utf-8")
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise BadInput(
                f"--out {self.path}: cannot write there ({reason}); choose another folder"
            ) from None
        try:
            self._take_lock()
            if existed:
                self._upgrade()
                self._compare(job)
            else:
                self.write(
                    "job.json",
                    {"format": formats.newest(formats.RUN)} | dict(job) | dict(also or {}),
                )
        except BadInput:
            self.release()
            raise
        return existed

    def upgrade(self) -> None:
        """Bring a folder that an older version wrote up to date; others may be in use.

        Raises:
            BadInput: damaged, in use by an older version, or written by a newer one.
        """
        if formats.check(self.path / "job.json", self.read("job.json"), formats.RUN):
            with (self.path / "lock").open("a+", encoding="utf-8") as self._lock:
                self._take_lock(BRIEFLY)
                self._upgrade()
            self.release()

    def _upgrade(self) -> None:
        file = self.path / "job.json"
        known = self.read("job.json")
        if formats.check(file, known, formats.RUN):
            self.write("job.json", formats.upgraded(file, known, formats.RUN))

    def _take_lock(self, mark: str = "") -> None:
        """Take the lock, and leave this process's number and `mark` in it.

        Raises:
            BadInput: somebody else has it, and not for seconds only.
        """
        assert self._lock is not None  # noqa: S101  # open() just set it
        for left in reversed(range(round(PATIENCE_S / AGAIN_S))):
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                self._lock.seek(0)
                holder = self._lock.read().strip()
                if left and holder.endswith(BRIEFLY):
                    time.sleep(AGAIN_S)
                    continue
                pid = holder.removesuffix(BRIEFLY) or "unknown"
                raise BadInput(
                    f"--out {self.path}: process {pid} is working there; wait for it or choose "
                    "another"
                ) from None
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}{mark}\n")
        self._lock.flush()

    def _compare(self, job: Mapping[str, Any]) -> None:
        known = self.read("job.json")
        for key, value in job.items():
            if known.get(key) != value:
                detail = "" if key == "fingerprint" else f" ({known.get(key)!r}, not {value!r})"
                what = "study or data" if key == "fingerprint" else key
                raise BadInput(
                    f"--out {self.path} belongs to another job: its {what} differs{detail}; "
                    "give the same command to resume it, or another --out"
                )

    @contextlib.contextmanager
    def unless_in_use(self) -> Iterator[bool]:
        """Hold the folder for the seconds of a block, and give whether it is held.

        It is not where a job works there, or where nothing can be written. A job that begins
        meanwhile waits for the end of the block.
        """
        try:
            self._lock = (self.path / "lock").open("a+", encoding="utf-8")
            self._take_lock(BRIEFLY)
        except (BadInput, OSError):
            self.release()
            yield False
            return
        try:
            yield True
        finally:
            self.release()

    def release(self) -> None:
        """Let other processes in."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def undo(self) -> None:
        """Take back what a job wrote that never came to train anything."""
        self.release()
        for name in ("data", "artifacts", "trials", "scores"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        files = ("job.json", "data.json", "ledger.jsonl", "lock", "study.db", "worker.log")
        for name in files:
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def write(self, name: str, content: Any) -> None:
        """Write a JSON file that is whole or absent."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        with part.open("w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def read(self, name: str) -> dict[str, Any]:
        """A JSON file.

        Raises:
            BadInput: missing or damaged.
        """
        path = self.path / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput(f"cannot read {path} ({error}); is this a run folder?") from None
        if not isinstance(content, dict):
            raise BadInput(f"{path} is damaged: expected a JSON object")
        return content

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return (self.path / name).is_file()

    def write_scores(self, name: str, scores: Scores) -> None:
        """Keep every item's outcome: `scores/NAME.json`."""
        plain = {
            task: {
                "correct": [int(c) if c == int(c) else round(c, 5) for c in s.correct],
                "losses": [round(x, 5) for x in s.losses],
            }
            for task, s in scores.items()
        }
        self.write(f"scores/{name}.json", plain)

    def read_scores(self, name: str) -> Scores | None:
        """Scores written earlier, if any."""
        if not self.has(f"scores/{name}.json"):
            return None
        content = self.read(f"scores/{name}.json")
        try:
            return {
                task: TaskScore(
                    correct=[float(c) for c in s["correct"]], losses=[float(x) for x in s["losses"]]
                )
                for task, s in content.items()
            }
        except (TypeError, KeyError, ValueError):
            raise BadInput(f"{self.path}/scores/{name}.json is damaged; start a new run") from None

    def items(self, name: str) -> list[dict[str, Any]]:
        """Evaluation items: search, finalists, final or heldout.

        Raises:
            BadInput: the file is damaged.
        """
        file = self.path / "data" / "items" / f"{name}.jsonl"
        try:
            return list(iterate_jsonl(file))
        except ValueError as error:
            raise BadInput(f"{file} is damaged ({error}); start a new run") from None

    def verify_data(self) -> None:
        """See that the job's rows and items are those that it began with.

        Raises:
            BadInput: a file is missing or changed.
        """
        hashes = self.read("data.json").get("sha256")
        if not isinstance(hashes, dict):
            raise BadInput(f"{self.path}/data.json is damaged; start a new run")
        try:
            verify(self.path / "data", hashes, "the job began")
        except BadInput as error:
            raise BadInput(f"{error}; restore it, or start a new run") from None
