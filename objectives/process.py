"""The GPU process: `python -m objectives.process`, driven over stdin and stdout (objectives.wire).

It keeps the base model resident and swaps adapters. It never writes outside the run folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import faulthandler
import json
import os
import signal
import sys
import threading
import warnings
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from objectives.objective import Loaded, Progress, Schedule
from objectives.wire import error_kind, listen, plain, plain_scores, plain_smoke
from search.errors import BadInput, OutOfMemory, RecipeSearchError, WorkerFailed
from spaces import Quantization, Recipe

FULL_DISK = os.strerror(errno.ENOSPC)
REPORTED = (
    "torch",
    "transformers",
    "peft",
    "optuna",
    "safetensors",
    "lm-eval",
    "reasoning-gym",
)


class Process:
    """State of the GPU process; one method per operation of the protocol."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._stop = threading.Event()

    def send(self, message: dict[str, Any]) -> None:
        """Write one line to the parent."""
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()

    def listen(self, progress: Progress) -> None:
        """Pass a sign of life on to the parent."""
        self.send({"event": "progress"} | plain(progress))

    def stop(self) -> None:
        """Ask the operation under way to end."""
        self._stop.set()

    def finish(self) -> None:
        """Wait for a checkpoint that is being written."""
        if hasattr(self, "trainer"):
            with contextlib.suppress(Exception):  # there is nobody to tell
                self.trainer.written()

    def handle(self, request: dict[str, Any]) -> None:
        """Carry one operation out and answer it."""
        self._stop.clear()
        try:
            result = getattr(self, "op_" + request.pop("op"))(**request)
            self.send({"event": "done", "result": result})
        except RecipeSearchError as error:
            self.send({"event": "error", "kind": error_kind(error), "message": str(error)})
        except Exception as error:  # noqa: BLE001  # the parent decides what a failure means
            import traceback  # noqa: PLC0415  # only here

            traceback.print_exc()
            failure = self._classify(error)
            self.send({"event": "error", "kind": error_kind(failure), "message": str(failure)})

    def _classify(self, error: Exception) -> RecipeSearchError:
        import torch  # noqa: PLC0415  # loaded long ago, unless loading it failed

        text = f"{type(error).__name__}: {error}".split("\n")[0][:300]
        full = isinstance(error, torch.cuda.OutOfMemoryError | MemoryError)
        if FULL_DISK in str(error):  # of the system, or of safetensors
            return BadInput(f"{FULL_DISK}; free some and give the same command again")
        if full or "can't allocate memory" in text:
            if hasattr(self, "trainer"):
                self.trainer.forget()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            return OutOfMemory(text)
        return WorkerFailed(text)

    def op_load(
        self,
        model: str,
        run_dir: str,
        seed: int,
        max_length: int,
        memory_gib: float | None,
        shuffle: bool,
        trust_remote_code: bool,
    ) -> dict[str, Any]:
        """Load tokenizer, data and base model; check head and packing on this device."""
        self._say(0.05, "starting torch")
        import torch  # noqa: PLC0415  # after the first sign of life
        import transformers  # noqa: PLC0415  # likewise

        from objectives import axes, base, evaluate, quantize, text, tokens, train  # noqa: PLC0415  # they use torch
        from objectives import model as models  # noqa: PLC0415  # likewise
        from objectives.rows import TEMPLATE, iterate_jsonl  # noqa: PLC0415  # likewise

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        device = quantize.find_device()
        if device.torch_device.type == "cpu":
            torch.use_deterministic_algorithms(mode=True)
        elif memory_gib:
            total = torch.cuda.get_device_properties(0).total_memory / 2**30
            torch.cuda.set_per_process_memory_fraction(min(1.0, memory_gib / total))
        self._say(0.2, f"resolving {model}")
        found = base.resolve(
            model,
            lambda line: self._say(0.3, line),
            trust_remote_code=trust_remote_code,
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            found.path, trust_remote_code=trust_remote_code
        )
        self.run_dir, self.tokenizer = Path(run_dir), tokenizer
        data = self.run_dir / "data"
        template = text.check_template(tokenizer, model, data / TEMPLATE)
        self._say(0.5, "tokenising")
        over_long: dict[str, int] = {}
        sources, reasons = {}, [device.reason, *filter(None, [template])]
        for file in sorted((data / "sources").glob("*.jsonl")):
            whole = tokens.tokenised(file, tokenizer, lambda line: self._say(0.5, line))
            kept = sources[file.stem] = whole.up_to(max_length)
            if dropped := len(whole) - len(kept):
                over_long[file.stem] = dropped
                reasons.append(f"{file.stem}: {dropped:,} rows over {max_length} tokens dropped")
            if not kept:
                from search.errors import BadInput  # noqa: PLC0415

                raise BadInput(f"source {file.stem}: every row is over {max_length} tokens")
        for file in sorted((data / "items").glob("*.jsonl")):
            tasks = {item["task"]: item for item in iterate_jsonl(file) if "lm_eval" not in item}
            for item in tasks.values():
                text.item_sample(item, tokenizer, item["id"])  # a template that refuses it says so
        self._say(0.7, "loading the base model")
        self.device = device
        self.trainer = train.Trainer(
            found,
            device,
            sources,
            self.run_dir / "trials",
            seed,
            shuffle=shuffle,
            trust_remote_code=trust_remote_code,
            tell=lambda line: self.listen(Progress(phase="train", done=0.0, note=line)),
            memory_gib=memory_gib,
            own_axes=axes.load(data),
        )
        resident = self.trainer.base_model(Quantization.BF16)
        probe = [rows[0] for rows in sources.values()][:3]
        probe += next(iter(sources.values()))[1:3]
        self.trainer.whole_head = models.needs_whole_head(resident, probe, device)
        packing, why = models.packing_isolates(
            resident, probe, device, self.trainer.packed_logits()
        )
        reasons.append(why)
        self.trainer.isolates = packing
        self._say(0.9, "tokenising evaluation items")
        self.evaluator = evaluate.Evaluator(
            resident,
            tokenizer,
            data,
            dataclasses.replace(device, eval_tokens=self.trainer.eval_tokens()),
            whole_head=self.trainer.whole_head,
            share=packing,
        )
        self.trainer.released = self.evaluator.lm.release
        if self.trainer.whole_head:
            reasons.append("the head runs over whole rows: this model scales its logits")
        loaded = Loaded(
            device=device.name,
            reasons=reasons,
            removed=device.removed,
            packing=packing,
            padding_free=self.trainer.padding_free(),
            parameters=sum(p.numel() for p in resident.parameters()),
            base={"id": found.id, "revision": found.revision, "origin": found.origin},
            versions={"python": sys.version.split()[0]}
            | {name: _version(name) for name in REPORTED},
            over_long=over_long,
        )
        return plain(loaded)

    def op_train(
        self,
        trial: str,
        recipe: dict[str, Any],
        schedule: dict[str, Any],
        until_step: int,
        deadline_s: float | None,
    ) -> dict[str, Any]:
        """Train a segment."""
        import torch  # noqa: PLC0415  # loaded long ago

        try:
            done = self.trainer.train(
                trial,
                Recipe.from_dict(recipe),
                Schedule(**schedule),
                until_step,
                deadline_s,
                self.listen,
                self._stop.is_set,
            )
        except torch.cuda.OutOfMemoryError:
            self.trainer.out_of_memory(Recipe.from_dict(recipe))
            self.trainer.forget()
            raise
        except BaseException:
            self.trainer.forget()  # what is in memory is no longer what is on disk
            raise
        return plain(done)

    def op_evaluate(
        self, trial: str | None, items: str, exact: bool, part: list[int] | None
    ) -> dict[str, Any]:
        """Score a trial, or the base model, on (a part of) an items file."""
        if trial is None:
            model = self.trainer.base_model(Quantization.BF16)
        else:
            model = self.trainer.trial_model(trial)
        places = (part[0], part[1]) if part else None  # JSON knows no tuples
        scores = self.evaluator.score(model, items, self.listen, exact=exact, part=places)
        self.trainer.written()  # before the segment counts as done
        return plain_scores(scores)

    def op_smoke(self, count: int) -> dict[str, Any]:
        """Let the base model answer a few items of every task."""
        model = self.trainer.base_model(Quantization.BF16)
        return plain_smoke(self.evaluator.smoke(model, count, self.listen))

    def op_fork(self, trial: str, name: str) -> None:
        """Copy a trial's checkpoint."""
        self.trainer.fork(trial, name)

    def op_discard(self, trial: str) -> None:
        """Delete a trial's checkpoint."""
        self.trainer.discard(trial)

    def op_export(self, trial: str, folder: str) -> None:
        """Write a trial's adapter and the rows it was trained on, in order."""
        from objectives.rows import iterate_jsonl, line_of, write_lines  # noqa: PLC0415  # light

        target = Path(folder)
        self.trainer.export(trial, target / "adapter")
        self.tokenizer.save_pretrained(target / "adapter")
        trained = self.trainer.history(trial)
        wanted = set(trained)
        lines = {  # a row that was read many times is made once
            (file.stem, number): line_of(row | {"source": file.stem})
            for file in (self.run_dir / "data" / "sources").glob("*.jsonl")
            for number, row in enumerate(iterate_jsonl(file))
            if (file.stem, number) in wanted
        }
        write_lines(target / "data" / "train.jsonl", (lines[place] for place in trained))

    def _say(self, done: float, note: str) -> None:
        self.listen(Progress(phase="load", done=done, note=note))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def get_ready() -> None:
    """Import what takes long, and start the device, while the parent prepares the data."""
    from objectives import evaluate, quantize, train  # noqa: F401, PLC0415  # they use torch

    quantize.find_device()


def main(kind: type[Process] = Process) -> None:
    """Serve requests until the input ends."""
    # The protocol owns the real stdout: whatever a library prints goes to stderr, the log.
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    faulthandler.register(signal.SIGUSR1)  # the parent asks where it hangs
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # no child of this process tokenises
    warnings.simplefilter("ignore", FutureWarning)  # libraries warning each other
    process = kind(wire)
    requests = listen(process.stop, process.finish)
    with contextlib.suppress(Exception):  # loading the model tells it
        get_ready()
    while True:
        process.handle(requests.get())


if __name__ == "__main__":
    main()
