"""Speed of our evaluation against lm-eval's own HFLM, on the same items in one run.

    python -m studies.bench_eval [--model ID|PATH] [--items N] [--out FILE.json]

Each task is scored three ways with the same base model: by lm-eval with HFLM, in stored precision,
at each of several batch sizes and at `auto` (the fastest counts), by lm-eval with our SharedLM, and
by the Evaluator as a trial's early evaluation calls it. Two ratios are printed. `model`: seconds
within the language model class, HFLM's best over SharedLM's. `early`: seconds of a whole
evaluation, lm-eval with HFLM over the Evaluator, which has its prompts ready and, on a CPU with
bfloat16 units, computes in bfloat16, as a trial's does. `same` is the share of items with the same
outcome from both. Tasks are generated, so nothing is fetched; `--write DIR` only writes them,
`--tasks DIR` takes them from there.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from objectives.rows import Row, write_jsonl
from search.cli import guarded
from spaces import Quantization
from studies.study import LmEval

SIZES = {"cpu": (8, 16, 24), "cuda": (16, 64, 256, "auto")}
"""HFLM's batch sizes, by kind of device; on a CPU, finding `auto` takes longer than all else."""
COMMON = """
dataset_path: json
dataset_kwargs: {data_files: {train: DATA-train.jsonl, test: DATA-test.jsonl}}
training_split: train
test_split: test
fewshot_split: train
metadata: {version: 1.0}
"""
CHOICE = """
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: label
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
LIKELIHOOD = """
output_type: loglikelihood
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
SHORT = """
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\\n"], do_sample: false, max_gen_toks: 32}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
OPEN = """
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["Question:", "\\n\\n"], do_sample: false, max_gen_toks: 96}
filter_list:
  - name: last-number
    filter:
      - {function: regex, group_select: -1, regex_pattern: "(-?[0-9]+)"}
      - {function: take_first}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
FIXED = "num_fewshot: 5\nfewshot_config: {sampler: first_n, split: train}\n"
TASKS = {
    "choice": ("words", CHOICE),
    "choice-5shot": ("words", CHOICE + "num_fewshot: 5\n"),
    "choice-5shot-fixed": ("words", CHOICE + FIXED),
    "likelihood": ("words", LIKELIHOOD),
    "answer-5shot": ("sums", SHORT + "num_fewshot: 5\n"),
    "generation": ("stories", OPEN),
    "generation-5shot-fixed": ("stories", OPEN + FIXED),
}
"""Task -> (its data, its YAML)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Median seconds of one evaluation by lm-eval."""

    whole_s: float
    """Building prompts, running the model, scoring."""
    model_s: float
    """Within the language model class: tokenising and running the model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One task's figures."""

    task: str
    items: int
    hflm: dict[str, Timing]
    """By batch size."""
    shared: Timing
    early_s: float
    """The Evaluator, as a trial calls it: its prompts are tokenised already."""
    agreement: float
    """Share of items whose outcome is HFLM's."""

    def best(self) -> tuple[str, Timing]:
        """HFLM at its best batch size."""
        return min(self.hflm.items(), key=lambda entry: entry[1].model_s)


def write_tasks(folder: Path, items: int) -> None:
    """Write the tasks' data and YAML; needs reasoning-gym."""
    from objectives.generated import generate  # noqa: PLC0415  # not needed with --tasks
    from studies.study import Generated  # noqa: PLC0415  # likewise

    made = {
        "words": ("word_sequence_reversal", {"min_words": 6, "max_words": 10}),
        "sums": ("chain_sum", {"min_terms": 2, "max_terms": 4, "min_digits": 1, "max_digits": 3}),
        "stories": ("gsm_symbolic", {}),
    }
    for name, (generator, parameters) in made.items():
        for split, count, seed in (("train", 200, 1), ("test", items, 2)):
            origin = Generated(generator=generator, parameters=parameters)
            rows = [_row(row, n) for n, row in enumerate(generate(origin, count, seed, None))]
            write_jsonl(folder / f"{name}-{split}.jsonl", rows)
    for task, (name, yaml) in TASKS.items():
        text = f"task: {task}\n" + COMMON.replace("DATA", str(folder / name)) + yaml
        (folder / f"{task}.yaml").write_text(text, encoding="utf-8")


def _row(row: Row, number: int) -> Row:
    """A question with its answer and three wrong orders of the answer's words."""
    question, answer = (message["content"] for message in row["messages"])
    rng = random.Random(number)
    words = answer.split(", ")
    choices = [answer, *(", ".join(rng.sample(words, len(words))) for _ in range(3))]
    rng.shuffle(choices)
    return {
        "question": question,
        "answer": answer,
        "choices": choices,
        "label": choices.index(answer),
    }


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds, result) of a call, its output discarded."""
    import torch  # noqa: PLC0415  # --help answers at once

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        began = time.perf_counter()
        result = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - began, result


class Bench:
    """A base model, and the ways to score it."""

    def __init__(self, model: str, tasks: Path, items: int, scratch: Path) -> None:
        import transformers  # noqa: PLC0415  # --help answers at once

        from objectives import base, harness, quantize  # noqa: PLC0415  # likewise

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        logging.getLogger("lm_eval").setLevel(logging.CRITICAL)
        found = base.resolve(model, lambda line: print(line, file=sys.stderr))
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(found.path)
        self.device = quantize.find_device()
        self.model = quantize.load_base(
            found, Quantization.BF16, self.device, trust_remote_code=False
        )
        self.tasks, self.items, self.scratch, self.harness = tasks, items, scratch, harness

    def one(self, task: str, repeats: int, sizes: Iterable[int | str]) -> Result:
        """Score a task all three ways."""
        from lm_eval.models.huggingface import HFLM  # noqa: PLC0415  # imports torch

        from objectives.evaluate import Evaluator  # noqa: PLC0415  # likewise
        from objectives.lm import SharedLM  # noqa: PLC0415  # likewise

        origin = LmEval(task=task, include_path=self.tasks)
        (drawn,), leaves, _ = self.harness.draw(task, origin, (self.items,), 0)
        data = self.scratch / task
        write_jsonl(data / "items" / "search.jsonl", drawn)
        self.harness.keep(leaves, self.tasks, data)
        ids = sorted(item["id"] for item in drawn)
        ours = SharedLM(self.model, self.tokenizer, self.device)
        evaluator = Evaluator(
            self.model, self.tokenizer, data, self.device, whole_head=False, share=True
        )

        def early() -> Any:
            return evaluator.score(self.model, "search", lambda _: None, exact=False)[task].correct

        for work in (early, lambda: self._harness(ours, task, ids)):
            timed(work)  # kernels are chosen and memory is taken on the first call
        early_s, shared, hflm = [], [], {}
        theirs: dict[int, float] = {}
        for _ in range(repeats):
            seconds, outcomes = timed(early)
            early_s.append(seconds)
            shared.append(self._harness(ours, task, ids)[0])
        for size in sizes:
            lm = HFLM(
                pretrained=self.model,
                tokenizer=self.tokenizer,
                batch_size=size,
                max_batch_size=512,
            )
            if self.device.torch_device.type == "cuda":
                self._harness(lm, task, ids)  # the same warm-up as ours
            runs = [self._harness(lm, task, ids) for _ in range(repeats)]
            hflm[str(size)] = median([run[0] for run in runs])
            theirs = runs[0][1]
        mine = dict(zip((item["id"] for item in drawn), outcomes, strict=True))
        same = sum(mine[number] == theirs[number] for number in ids)
        return Result(
            task=task,
            items=len(ids),
            hflm=hflm,
            shared=median(shared),
            early_s=round(statistics.median(early_s), 3),
            agreement=same / len(ids),
        )

    def _harness(self, lm: Any, task: str, ids: list[int]) -> tuple[Timing, dict[int, float]]:
        """(seconds, outcome by item) of lm-eval's own evaluation."""
        import lm_eval  # noqa: PLC0415  # imports torch

        loaded = self.harness.load(task, self.tasks)
        loaded[task].set_fewshot_seed(self.harness.FEWSHOT_SEED)
        inner = 0.0

        def clocked(method: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal inner
                seconds, result = timed(lambda: method(*arguments, **options))
                inner += seconds
                return result

            return call

        names = ("loglikelihood", "generate_until")
        for name in names:
            setattr(lm, name, clocked(getattr(type(lm), name).__get__(lm)))
        whole, found = timed(
            lambda: lm_eval.evaluate(
                lm,
                {"tasks": loaded, "groups": {}, "group_map": {}},
                samples={task: ids},
                bootstrap_iters=0,
                apply_chat_template=True,
                fewshot_as_multiturn=True,
            )
        )
        metric = self.harness.choose_metric(task, loaded[task], loaded[task].eval_docs[0])[0]
        outcomes = {s["doc_id"]: float(s[metric]) for s in found["samples"][task]}
        return Timing(whole_s=whole, model_s=inner), outcomes


def median(timings: list[Timing]) -> Timing:
    """The medians of several timings."""
    return Timing(
        whole_s=round(statistics.median(t.whole_s for t in timings), 3),
        model_s=round(statistics.median(t.model_s for t in timings), 3),
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(prog="python -m studies.bench_eval", description=__doc__)
    parser.add_argument("--model", default=None, help="base model (default: the embedded one)")
    parser.add_argument("--items", type=int, default=0, help="items per task")
    parser.add_argument("--only", nargs="*", default=list(TASKS), help="tasks to time")
    parser.add_argument("--repeats", type=int, default=3, help="timings; their median counts")
    parser.add_argument("--sizes", nargs="*", help="HFLM's batch sizes")
    parser.add_argument("--tasks", type=Path, help="folder that --write made")
    parser.add_argument("--write", type=Path, help="write the tasks there and stop")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args(arguments)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return guarded(lambda: _run(options), "stopped")


def _run(options: argparse.Namespace) -> int:
    if options.write:
        write_tasks(options.write, options.items or 1000)
        return 0
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        import torch  # noqa: PLC0415  # --help answers at once

        from objectives.base import EMBEDDED  # noqa: PLC0415  # likewise

        kind = "cuda" if torch.cuda.is_available() else "cpu"
        items = options.items or (512 if kind == "cuda" else 24)
        tasks = options.tasks
        if tasks is None:
            tasks = scratch / "tasks"
            write_tasks(tasks, items)
        bench = Bench(options.model or EMBEDDED, tasks, items, scratch)
        sizes = [int(s) if s.isdigit() else s for s in options.sizes or map(str, SIZES[kind])]
        print(f"{bench.device.name}, torch {torch.__version__}, {items} items a task")
        print(
            f"{'task':<24}{'HFLM':>16}{'SharedLM':>10}{'model':>8}{'early':>10}{'early':>8}  same"
        )
        results = []
        for task in options.only:
            found = bench.one(task, options.repeats, sizes)
            results.append(asdict(found))
            size, best = found.best()
            print(
                f"{task:<24}{best.model_s:>9.2f} s @{size:<4}{found.shared.model_s:>8.2f} s"
                f"{best.model_s / found.shared.model_s:>7.1f}x{found.early_s:>8.2f} s"
                f"{best.whole_s / found.early_s:>7.1f}x  {found.agreement:.1%}",
                flush=True,
            )
    if options.out:
        report = {"device": bench.device.name, "torch": torch.__version__, "results": results}
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
