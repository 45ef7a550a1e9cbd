"""`python -m studies.bench_train`: speed of our training against a plain loop and TRL, in one run.

The same rows of mixed length (chats' log-normal lengths, half of each answered) train adapters of
rank 16 on all linear layers of a model of random weights, `--tokens` per optimizer step:

- ours: `Trainer.train`, as a job calls it, checkpoints included;
- plain: a loop of transformers and PEFT as tutorials show it: padded rows, bfloat16 autocast;
- TRL: SFTTrainer with packing, of `--trl PYTHON`, an environment of its own
  (`python -m venv /tmp/trl && /tmp/trl/bin/pip install trl peft liger-kernel`), with each of the
  attentions that work there and with Liger's kernels if they are installed; the fastest counts.

Told are non-padding tokens/s after warming up, and the share of the GPU's arithmetic that they
use (MFU) at 4 FLOPs per parameter and token: a frozen base needs no gradient of its weights. The
peak is the vendor's for dense bfloat16; a large matrix product's own speed is printed beside it.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from search.cli import guarded
from spaces import Quantization, Recipe, Targets

PEAKS = {"H100 80GB HBM3": 989.4e12, "H200": 989.4e12, "A100": 312e12, "4090": 165.2e12}
"""Dense bfloat16 FLOP/s by a part of the GPU's name (vendors' data sheets)."""
SHAPES: dict[str, dict[str, Any]] = {
    "smollm2-135m": {
        "model_type": "llama",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
        "tie_word_embeddings": True,
        "max_position_embeddings": 8192,
    },
    "mistral-7b": {
        "model_type": "mistral",
        "sliding_window": None,
        "max_position_embeddings": 32768,
    },
    "tiny": {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 512,
    },
}
RECIPE = Recipe(
    rank=16,
    alpha=32,
    targets=Targets.ALL_LINEAR,
    quantization=Quantization.BF16,
    packing=True,
    max_length=2048,
    learning_rate=2e-4,
    tokens_per_step=8192,
    mixture={"rows": 1.0},
)
ROWS = 4000
PEER = """
import json, sys, time
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoConfig, AutoModelForCausalLM, TrainerCallback
from trl import SFTConfig, SFTTrainer, __version__
asked = json.loads(sys.argv[1])
rows = json.load(open(asked["rows"]))
config = AutoConfig.for_model(**asked["shape"])
with torch.device("cuda"):
    torch.set_default_dtype(torch.bfloat16)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=asked["attention"])
    torch.set_default_dtype(torch.float32)
if asked["quantization"] == "nf4":
    sys.path.insert(0, asked["root"])
    from spaces import Quantization
    from studies.bench_train import quantize_in_place
    quantize_in_place(model, Quantization.NF4)
class Clock(TrainerCallback):
    marks = []
    def on_step_end(self, *_, **__):
        torch.cuda.synchronize()
        self.marks.append(time.perf_counter())
each = max(1, asked["tokens"] // asked["length"])
batch = min(each, asked["batch"])
options = SFTConfig(output_dir=asked["out"], packing=True, max_length=asked["length"],
    per_device_train_batch_size=batch, gradient_accumulation_steps=each // batch,
    max_steps=asked["steps"], bf16=True, report_to="none",
    gradient_checkpointing=False, use_liger_kernel=asked["liger"], learning_rate=2e-4,
    logging_steps=1000, save_strategy="no", completion_only_loss=True, disable_tqdm=True,
    optim="adamw_torch_fused", dataset_num_proc=1)
class Tokens:
    pad_token = eos_token = "</s>"; pad_token_id = eos_token_id = 0; chat_template = None
data = Dataset.from_dict({"input_ids": [r[0] for r in rows],
    "completion_mask": [[0] * r[1] + [1] * (len(r[0]) - r[1]) for r in rows]})
from transformers import PreTrainedTokenizerFast
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
words = Tokenizer(WordLevel({"</s>": 0, "a": 1}, unk_token="a"))
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", pad_token="</s>")
lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
trainer = SFTTrainer(model, options, train_dataset=data, processing_class=tokenizer,
    peft_config=lora, callbacks=[Clock()])
packs = [sum(own) for own in trainer.train_dataset["seq_lengths"]]
trainer.train()
half = len(Clock.marks) // 2
seconds = (Clock.marks[-1] - Clock.marks[half]) / (len(Clock.marks) - 1 - half)
print(json.dumps({"version": __version__, "tokens_per_s": each * sum(packs) / len(packs) / seconds,
    "memory_gib": torch.cuda.max_memory_allocated() / 2**30}))
"""
"""What TRL's environment runs."""


def rows(vocabulary: int, longest: int, seed: int = 0) -> list[tuple[list[int], int]]:
    """(token ids, index of the first answered token) of each row."""
    rng = np.random.default_rng(seed)
    found: list[tuple[list[int], int]] = []
    while len(found) < ROWS:
        length = round(rng.lognormal(math.log(longest / 6), 0.9))
        if 8 <= length <= longest:
            found.append((rng.integers(5, vocabulary, length).tolist(), length // 2))
    return found


def build(shape: dict[str, Any], device: Any, kind: Quantization = Quantization.BF16) -> Any:
    """A frozen model of random weights, in bfloat16 on a GPU.

    No more than one layer is on the device before it is quantized.
    """
    import torch  # noqa: PLC0415  # --help answers at once
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415  # likewise
    from transformers.initialization import no_init_weights  # noqa: PLC0415  # likewise

    config = AutoConfig.for_model(**shape)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if device.type == "cuda" else torch.float32)
    try:
        with no_init_weights():
            model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    finally:
        torch.set_default_dtype(before)
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.device != device or device.type == "cpu":
                parameter.data = _random(parameter, device)
        for name, layer in module.named_children():
            if isinstance(layer, torch.nn.Linear) and layer is not model.get_output_embeddings():
                layer.weight.data = _random(layer.weight, device)
                setattr(module, name, _quantized(layer, kind))
    model.to(device)  # what is no parameter
    model.requires_grad_(requires_grad=False)
    model.config.use_cache = False
    return model.eval()


def _random(weight: Any, device: Any) -> Any:
    """Norms are ones, all else normal."""
    import torch  # noqa: PLC0415  # --help answers at once

    made = torch.empty(weight.shape, dtype=weight.dtype, device=device)
    return made.fill_(1.0) if made.ndim == 1 else made.normal_(0.0, 0.02)


def quantize_in_place(model: Any, kind: Quantization) -> None:
    """Quantize all linear layers but the head as a job's base is: NF4 as QLoRA does, or LLM.int8.

    Args:
        model: with weights on a GPU.
        kind: BF16 leaves the model as it is.
    """
    import torch  # noqa: PLC0415  # --help answers at once

    head = model.get_output_embeddings()
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, torch.nn.Linear) and layer is not head:
                setattr(parent, name, _quantized(layer, kind))
    model.requires_grad_(requires_grad=False)


def _quantized(layer: Any, kind: Quantization) -> Any:
    if kind is Quantization.BF16:
        return layer
    make = _nf4 if kind is Quantization.NF4 else _int8
    return make(layer).to(layer.weight.device)


def random_trainer(
    shape: dict[str, Any],
    made: list[tuple[list[int], int]],
    scratch: Path,
    device: Any,
    *,
    tell: Callable[[str], None],
    memory_gib: float | None = None,
) -> Any:
    """A job's trainer over bases of random weights.

    Args:
        shape: of the base model.
        made: rows, see `rows`.
        scratch: for checkpoints.
        device: an `objectives.quantize.Device`.
        tell: told what is left out.
        memory_gib: use no more GPU memory.
    """
    from objectives.base import Base  # noqa: PLC0415  # --help answers at once
    from objectives.mixture import Sample  # noqa: PLC0415  # likewise
    from objectives.tokens import Tokens  # noqa: PLC0415  # likewise
    from objectives.train import Trainer  # noqa: PLC0415  # likewise

    samples = [Sample(tuple(ids), start, "rows", k) for k, (ids, start) in enumerate(made)]
    return Trainer(
        Base(path=scratch, id="random", revision="none", origin="made here"),
        device,
        {"rows": Tokens.of("rows", samples)},
        scratch / "trials",
        0,
        tell=tell,
        memory_gib=memory_gib,
        load=lambda kind: build(shape, device.torch_device, kind),
    )


def parameters_of(shape: dict[str, Any]) -> int:
    """Weights of a model of this shape, tied ones once."""
    import torch  # noqa: PLC0415  # --help answers at once
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415  # likewise

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**shape))
    return sum(parameter.numel() for parameter in model.parameters())


def _nf4(layer: Any) -> Any:
    import bitsandbytes as bnb  # noqa: PLC0415  # only where it is asked for
    import torch  # noqa: PLC0415  # --help answers at once

    new = bnb.nn.Linear4bit(
        layer.in_features,
        layer.out_features,
        bias=False,
        compute_dtype=torch.bfloat16,
        compress_statistics=True,
        quant_type="nf4",
        device="meta",
    )
    new.weight = bnb.nn.Params4bit(
        layer.weight.data.cpu(), requires_grad=False, compress_statistics=True, quant_type="nf4"
    )
    return new


def _int8(layer: Any) -> Any:
    import bitsandbytes as bnb  # noqa: PLC0415  # only where it is asked for

    new = bnb.nn.Linear8bitLt(
        layer.in_features,
        layer.out_features,
        bias=False,
        has_fp16_weights=False,
        threshold=6.0,
        device="meta",
    )
    new.weight = bnb.nn.Int8Params(
        layer.weight.data.cpu(), requires_grad=False, has_fp16_weights=False
    )
    return new


class Bench:
    """One model shape and quantization kind."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        from objectives.quantize import find_device  # noqa: PLC0415  # it imports torch

        self.options = options
        self.scratch = scratch
        self.shape = SHAPES[options.shape]
        self.device = find_device()
        self.recipe = replace(
            RECIPE,
            quantization=Quantization(options.quantization),
            max_length=options.length,
            tokens_per_step=options.tokens,
        )
        if options.micro:
            self.device = replace(self.device, micro_tokens=options.micro)
        self.parameters = parameters_of(self.shape)
        vocabulary = self.shape.get("vocab_size", 32000)
        self.rows = rows(vocabulary, options.length)

    def model(self) -> Any:
        """A fresh one."""
        return build(self.shape, self.device.torch_device, self.recipe.quantization)

    def ours(self) -> dict[str, Any]:
        """A trial's segment after a warm-up segment."""
        import torch  # noqa: PLC0415  # --help answers at once

        from objectives.objective import Schedule  # noqa: PLC0415  # likewise

        told: list[str] = []
        trainer = random_trainer(self.shape, self.rows, self.scratch, self.device, tell=told.append)

        def segment(name: str, until: int, recipe: Recipe) -> Any:
            schedule = Schedule(warmup_steps=10)
            return trainer.train(name, recipe, schedule, until, None, lambda _: None, lambda: False)

        warm = segment("a", self.options.warmup, self.recipe)
        timed = segment("a", self.options.warmup + self.options.steps, self.recipe)
        switch = []
        for name, rank in (("b", 64), ("c", 8), ("d", 32)):
            recipe = replace(self.recipe, rank=rank, alpha=2 * rank)
            began = time.perf_counter()
            first = segment(name, 1, recipe)
            switch.append(time.perf_counter() - began - first.step_s)
        counters = torch._dynamo.utils.counters  # no public reader
        return {
            "tokens_per_s": timed.new_tokens / timed.seconds,
            "step_ms": timed.step_s * 1e3,
            "first_s": warm.seconds,
            "memory_gib": timed.peak_memory_gib,
            "switch_s": switch,
            "left_out": told,
            "graphs_compiled": counters["stats"]["unique_graphs"],
        }

    def plain(self) -> dict[str, Any]:
        """A loop as tutorials show it, with padded batches of `--plain-rows`."""
        import torch  # noqa: PLC0415  # --help answers at once
        from peft import LoraConfig, get_peft_model  # noqa: PLC0415  # likewise

        device = self.device.torch_device
        config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
        model = get_peft_model(self.model(), config).train()
        weights = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=2e-4)
        stream = iter(self.rows)
        size = self.options.plain_rows
        seconds, tokens = [], []
        for _ in range(self.options.plain_steps):
            began = time.perf_counter()
            count = 0
            while count < self.options.tokens:
                some = [next(stream) for _ in range(size)]
                width = max(len(ids) for ids, _ in some)
                ids = torch.zeros(size, width, dtype=torch.int64)
                mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
                for place, (own, start) in enumerate(some):
                    ids[place, : len(own)] = labels[place, : len(own)] = torch.tensor(own)
                    mask[place, : len(own)] = 1
                    labels[place, :start] = -100
                    count += len(own)
                with self.device.precision(exact=False):
                    loss = model(
                        input_ids=ids.to(device),
                        attention_mask=mask.to(device),
                        labels=labels.to(device),
                    ).loss
                loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            loss.item()
            seconds.append(time.perf_counter() - began)
            tokens.append(count)
        half = len(seconds) // 2
        return {"tokens_per_s": sum(tokens[half:]) / sum(seconds[half:])}

    def peers(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """TRL's trainer, in each way that may be its best."""
        file = self.scratch / "rows.json"
        file.write_text(json.dumps(self.rows), encoding="utf-8")
        for attention, liger in self.options.trl_ways:
            asked = {
                "rows": str(file),
                "shape": self.shape,
                "quantization": self.options.quantization,
                "attention": attention,
                "liger": liger,
                "tokens": self.options.tokens,
                "length": self.options.length,
                "batch": self.options.trl_batch,
                "steps": self.options.trl_steps,
                "out": str(self.scratch / "trl"),
                "root": str(Path(__file__).parents[1]),
            }
            name = f"TRL {attention}{' Liger' if liger else ''}"
            command = [self.options.trl, "-c", PEER, json.dumps(asked)]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                reason = [*done.stderr.strip().splitlines(), "no message"][-2:]
                yield name, {"failed": " ".join(reason)[:300]}
            else:
                yield name, json.loads(done.stdout.splitlines()[-1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(prog="python -m studies.bench_train", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="smollm2-135m")
    parser.add_argument("--quantization", choices=("bf16", "nf4"), default="bf16")
    parser.add_argument("--tokens", type=int, default=8192, help="tokens of an optimizer step")
    parser.add_argument("--length", type=int, default=2048, help="longest row, and TRL's packs")
    parser.add_argument("--micro", type=int, default=0, help="positions of a pass (default: ours)")
    parser.add_argument("--warmup", type=int, default=60, help="steps before the clock runs")
    parser.add_argument("--steps", type=int, default=60, help="steps that are timed")
    parser.add_argument("--plain-steps", type=int, default=8)
    parser.add_argument("--plain-rows", type=int, default=8, help="rows of the plain loop's batch")
    parser.add_argument("--trl-steps", type=int, default=30)
    parser.add_argument("--trl-batch", type=int, default=4, help="packs of one of TRL's passes")
    parser.add_argument("--trl", help="Python of an environment that has TRL")
    parser.add_argument("--attention", nargs="*", default=["sdpa", "flex_attention"])
    parser.add_argument("--only", nargs="*", default=["ours", "plain", "trl"])
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args(arguments)
    options.trl_ways = [(a, liger) for a in options.attention for liger in (True, False)]
    return guarded(lambda: _run(options), "stopped")


def _run(options: argparse.Namespace) -> int:
    import torch  # noqa: PLC0415  # --help answers at once

    from objectives.speed import matmul_speed  # noqa: PLC0415  # likewise

    speeds: dict[str, float] = {}
    facts: dict[str, Any] = {"options": {k: str(v) for k, v in vars(options).items()}}
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(options, Path(name))
        print(
            f"{bench.device.name}, torch {torch.__version__}: {options.shape} "
            f"{options.quantization}, rank 16, {options.tokens} tokens a step"
        )
        peak = next((v for k, v in PEAKS.items() if k in bench.device.name), None)
        if bench.device.torch_device.type == "cuda":
            facts["matmul"] = matmul_speed(bench.device.torch_device, rounds=10)
            print(f"a large matrix product: {facts['matmul'] / 1e12:.0f} TFLOP/s")

        def told(name: str, found: dict[str, Any]) -> None:
            facts[name] = found
            speeds.update({name: found["tokens_per_s"]} if "tokens_per_s" in found else {})
            if "failed" in found:
                print(f"{name:<24} failed: {found['failed']}", flush=True)
                return
            speed = found["tokens_per_s"]
            rate = 4 * bench.parameters * speed
            share = f", MFU {rate / peak:.1%}" if peak else ""
            if "matmul" in facts:
                share += f", {rate / facts['matmul']:.1%} of the matrix product's"
            more = ", ".join(f"{k} {v}" for k, v in found.items() if k != "tokens_per_s")
            print(f"{name:<24}{speed:>10,.0f} tokens/s{share} ({more})", flush=True)

        contenders: dict[str, Callable[[], dict[str, Any]]] = {
            "ours": bench.ours,
            "plain": bench.plain,
        }
        for contender, work in contenders.items():
            if contender not in options.only:
                continue
            try:
                told(contender, work())
            except torch.cuda.OutOfMemoryError as error:
                told(contender, {"failed": str(error).partition(". GPU")[0]})
            gc.collect()  # models hold themselves in cycles
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        if options.trl and "trl" in options.only:
            for contender, found in bench.peers():
                told(contender, found)
        if "ours" in speeds:
            for contender, speed in speeds.items():
                if contender != "ours":
                    print(f"ours / {contender}: {speeds['ours'] / speed:.1f}x")
    if options.out:
        options.out.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
