"""Training, checkpoints and scoring on a tiny real model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from objectives import checkpoint
from objectives.adapter import Slot
from objectives.base import Base, resolve
from objectives.evaluate import Evaluator
from objectives.model import answer_logits, attention_modules, packing_isolates
from objectives.objective import Progress, Schedule
from objectives.packing import Batch, collate
from objectives.quantize import Device, find_device
from objectives.rows import to_item, write_jsonl
from objectives.schedule import fit_schedule
from objectives.text import check_template, tokenise
from objectives.tokens import Tokens
from objectives.train import Ready, Trainer
from search.errors import BadInput, Diverged, Interrupted, WorkerFailed
from spaces import Quantization, Recipe, Targets
from studies.challenge import CHAT_TEMPLATE
from tests.tiny import make_tiny_model, rows

CONSTANT = Schedule(warmup_steps=2)
RECIPE = Recipe(
    rank=4,
    alpha=8,
    targets=Targets.ALL_LINEAR,
    quantization=Quantization.BF16,
    packing=True,
    max_length=64,
    learning_rate=5e-3,
    tokens_per_step=96,
    mixture={"one": 0.5, "two": 0.5},
)


def listen(_: Progress) -> None:
    """Nobody watches."""


def never() -> bool:
    """Nobody stops."""
    return False


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> Base:
    """The tiny model as a base."""
    return resolve(str(tiny_model))


@pytest.fixture(scope="module")
def device() -> Device:
    """The CPU in float32, so that results can be compared bit for bit."""
    return replace(find_device(), autocast=False, micro_tokens=128)


@pytest.fixture(scope="module")
def tokenizer(base: Base) -> Any:
    """The tiny model's tokenizer."""
    return AutoTokenizer.from_pretrained(base.path)


@pytest.fixture(scope="module")
def sources(tokenizer: Any) -> dict[str, Tokens]:
    """Two tokenised sources."""
    made = {"one": rows(60), "two": rows(40, step=2)}
    return {name: Tokens.of(name, tokenise(own, tokenizer, name)) for name, own in made.items()}


@pytest.fixture
def make(
    base: Base, device: Device, sources: dict[str, Tokens], tmp_path: Path
) -> Callable[..., Trainer]:
    """Makes trainers over the same folder, as processes of one job would."""
    return lambda folder="trials", **options: Trainer(
        base, device, sources, tmp_path / folder, seed=3, **options
    )


def train(trainer: Trainer, name: str, until: int, **options: Any) -> Any:
    """A segment without deadline or listener, its checkpoint written."""
    recipe = options.pop("recipe", RECIPE)
    schedule = options.pop("schedule", CONSTANT)
    found = trainer.train(name, recipe, schedule, until, options.get("deadline"), listen, never)
    trainer.written()
    return found


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of the newest checkpoint."""
    found = checkpoint.newest(folder)
    assert found is not None
    files = ("adapter.safetensors", "optimizer.safetensors")
    return {name: tensor for file in files for name, tensor in load_file(found / file).items()}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hash of every batch that is trained on, in order."""
    hashes: list[str] = []

    step = Trainer._step

    def spy(trainer: Trainer, trial: Any, schedule: Schedule, ready: Ready, *others: Any) -> Any:
        for batch in ready.rows:
            assert isinstance(batch, Batch)
            digest = hashlib.sha256()
            for part in (batch.ids, batch.labels, batch.positions, batch.owner):
                digest.update(part.contiguous().numpy().tobytes())
            hashes.append(digest.hexdigest())
        return step(trainer, trial, schedule, ready, *others)

    monkeypatch.setattr(Trainer, "_step", spy)
    return hashes


@pytest.mark.parametrize("packing", [True, False])
def test_resume_is_exact_bit_for_bit(
    packing: bool,
    make: Callable[..., Trainer],
    device: Device,
    tokenizer: Any,
    seen: list[str],
    tmp_path: Path,
) -> None:
    """Twenty steps equal ten and, after an evaluation at the rung, another trial and in another
    process, ten more: batches, losses, adapter and moments."""
    recipe = replace(RECIPE, packing=packing)
    whole = train(make("a"), "0", 20, recipe=recipe)
    expected, seen[:] = list(seen), []
    first = make("b")
    train(first, "0", 10, recipe=recipe)
    items = [to_item(row, "one", number) for number, row in enumerate(rows(4))]
    write_jsonl(tmp_path / "data" / "items" / "search.jsonl", items)
    model = first.trial_model("0")
    evaluator = Evaluator(model, tokenizer, tmp_path / "data", device, whole_head=False, share=True)
    evaluator.score(model, "search", listen, exact=False)
    half = len(seen)
    train(first, "other", 2)
    del seen[half:]
    again = train(make("b"), "0", 20, recipe=recipe)

    assert 0 < half < len(expected)
    assert seen == expected
    assert again.curve == whole.curve
    assert again.tokens == whole.tokens
    a, b = tensors(tmp_path / "a" / "0"), tensors(tmp_path / "b" / "0")
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_trial_is_a_prefix_of_a_longer_run(make: Callable[..., Trainer]) -> None:
    """Until the decay begins, the horizon changes nothing."""
    trial = train(make("a"), "0", 6)
    schedule = Schedule(warmup_steps=2, decay_start=8, total_steps=12)
    final = train(make("b"), "0", 12, schedule=schedule)
    assert final.curve[:6] == trial.curve
    assert final.step == 12


def test_packing_changes_neither_loss_nor_tokens_per_step(make: Callable[..., Trainer]) -> None:
    """Packed or padded, a step trains on the same samples with the same loss."""
    packed = train(make("a"), "0", 3)
    padded = train(make("b"), "0", 3, recipe=replace(RECIPE, packing=False))
    assert [t for t, _ in packed.curve] == [t for t, _ in padded.curve]
    for (_, x), (_, y) in zip(packed.curve, padded.curve, strict=True):
        assert x == pytest.approx(y, abs=2e-3)


def test_tokens_per_step_hold_on_average(make: Callable[..., Trainer]) -> None:
    """Whole samples make single steps uneven, but the sum stays within one sample."""
    trained = train(make(), "0", 7)
    assert 7 * 96 <= trained.tokens < 7 * 96 + 64


def test_training_learns(make: Callable[..., Trainer]) -> None:
    """The loss falls clearly within forty steps."""
    trained = train(make(), "0", 40)
    assert trained.loss < 0.9 * trained.curve[0][1]


def test_taking_an_adapter_off_gives_the_base_back(
    make: Callable[..., Trainer], tokenizer: Any
) -> None:
    """The resident base is untouched by trials."""
    trainer = make()
    batch = collate(list(tokenise(rows(1), tokenizer, "x")), [[0]], packed=False)
    with torch.no_grad():
        before = answer_logits(trainer.base_model(), batch)
    train(trainer, "0", 5)
    with torch.no_grad():
        trained = answer_logits(trainer.trial_model("0"), batch)
        after = answer_logits(trainer.base_model(), batch)
    assert not torch.equal(before, trained)
    assert torch.equal(before, after)


class Ticks:
    """A clock on which every look takes `tick` seconds."""

    def __init__(self, tick: float = 0.01) -> None:
        self.tick = tick
        self.now = 0.0

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


def test_a_deadline_ends_a_segment_early_but_whole(make: Callable[..., Trainer]) -> None:
    """Training stops before the deadline with a checkpoint."""
    clock = Ticks()
    trainer = make(clock=clock)
    trained = train(trainer, "0", 1_000_000, deadline=3.0)
    assert 20 < trained.step < 300
    assert clock.now <= 3.0 + clock.tick  # the last look only tells the seconds
    found = checkpoint.newest(trainer._folder / "0")
    assert found is not None
    assert checkpoint.read_state(found).step == trained.step


def test_a_deadline_brings_the_final_decay_forward(make: Callable[..., Trainer]) -> None:
    """A run that would end too late decays earlier, to its end."""
    clock = Ticks()
    asked = Schedule(warmup_steps=2, decay_start=980, total_steps=1000)
    trained = train(make(clock=clock), "0", 1000, schedule=asked, deadline=3.0)
    done = trained.schedule
    assert done.decay_start is not None
    assert done.total_steps is not None
    assert done.total_steps - done.decay_start == 20
    assert done.total_steps - 1 <= trained.step <= done.total_steps < 1000
    assert clock.now <= 3.0 + clock.tick  # the last look only tells the seconds


def test_a_passing_slowdown_does_not_cost_the_rest_of_the_run(
    make: Callable[..., Trainer],
) -> None:
    """The schedule is fitted anew before every step until its decay begins."""
    steady, shaky = Ticks(), Ticks()
    asked = Schedule(warmup_steps=2, decay_start=180, total_steps=200)
    calm = train(make("a", clock=steady), "0", 200, schedule=asked, deadline=5.0)
    trainer = make("b", clock=shaky)

    def slow_at_first(progress: Progress) -> None:
        shaky.tick = 0.05 if progress.tokens < 10 * 96 else 0.01

    late = trainer.train("0", RECIPE, asked, 200, 5.0, slow_at_first, never)
    assert late.step > 0.6 * calm.step
    assert shaky.now <= 5.0 + shaky.tick


@pytest.mark.parametrize(
    ("step", "fitting", "expected"),
    [(10, 100, (80, 100)), (10, 90, (80, 100)), (10, 50, (40, 60)), (10, 5, (10, 15))],
)
def test_fitting_a_schedule_keeps_the_decays_length_where_it_can(
    step: int, fitting: int, expected: tuple[int, int]
) -> None:
    """First the constant part shrinks, then the decay."""
    fitted = fit_schedule(Schedule(warmup_steps=2, decay_start=80, total_steps=100), step, fitting)
    assert (fitted.decay_start, fitted.total_steps) == expected


def test_stopping_saves_what_was_done(make: Callable[..., Trainer]) -> None:
    """An interrupted segment goes on with the very next step."""
    trainer = make("a")
    calls = iter([False, False, False, True])
    with pytest.raises(Interrupted):
        trainer.train("0", RECIPE, CONSTANT, 10, None, listen, lambda: next(calls))
    saved = checkpoint.newest(trainer._folder / "0")
    assert saved is not None
    before = checkpoint.read_state(saved).seconds
    resumed = train(make("a"), "0", 10)
    assert resumed.curve == train(make("b"), "0", 10).curve
    assert resumed.total_s > before > 0  # what was spent before counts


def test_a_loss_that_is_no_number_is_told(make: Callable[..., Trainer]) -> None:
    """Nothing is saved of a trial that diverged."""
    trainer = make()
    train(trainer, "0", 1)
    with torch.no_grad():
        trainer._trial.slot.weights.fill_(float("nan"))  # type: ignore[union-attr]
    with pytest.raises(Diverged, match="nan"):
        train(trainer, "0", 2)


def test_a_fork_is_a_copy_and_discarding_leaves_it(make: Callable[..., Trainer]) -> None:
    """The final run starts from the winner's checkpoint and owns it."""
    trainer = make()
    train(trainer, "0", 3)
    trainer.fork("0", "final")
    trainer.discard("0")
    assert train(trainer, "final", 5).step == 5
    with pytest.raises(FileNotFoundError):
        trainer.trial_model("0")


def test_the_history_is_what_was_trained_on(
    make: Callable[..., Trainer], sources: dict[str, Tokens]
) -> None:
    """In order, in number and in tokens: train.jsonl is written from it."""
    trainer = make()
    trained = train(trainer, "0", 6)
    history = list(trainer.history("0"))
    rows = {(sample.source, sample.row): sample for name in sources for sample in sources[name]}
    assert sum(len(rows[place].ids) for place in history) == trained.tokens
    shuffled = [row for source, row in history if source == "one"]
    assert shuffled != sorted(shuffled)
    assert trained.shares["one"] == pytest.approx(0.5, abs=0.02)


def test_a_long_step_gives_signs_of_life(
    make: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that trains a large model on a slow CPU is not taken for one that hangs."""
    told: dict[float, int] = {}
    for seconds in (30.0, -1.0):
        monkeypatch.setattr("objectives.train.ALIVE_S", seconds)
        heard: list[Progress] = []
        trainer = make()
        trainer.train(f"{seconds}", RECIPE, CONSTANT, 2, None, heard.append, never)
        trainer.written()
        told[seconds] = len(heard)
    assert told[30.0] == 2
    assert told[-1.0] > 2


def test_checkpoints_hold_no_pickles(make: Callable[..., Trainer], tmp_path: Path) -> None:
    """Only safetensors and JSON."""
    train(make(), "0", 2)
    files = [f for f in (tmp_path / "trials").rglob("*") if f.is_file()]
    assert {f.suffix for f in files} == {".safetensors", ".json"}


@pytest.mark.parametrize("damage", ["truncate", "json", "missing"])
def test_a_damaged_checkpoint_is_told_and_not_trained_on(
    damage: str, make: Callable[..., Trainer], tmp_path: Path
) -> None:
    """One clear error instead of silent nonsense."""
    train(make(), "0", 2)
    found = checkpoint.newest(tmp_path / "trials" / "0")
    assert found is not None
    if damage == "truncate":
        file = found / "adapter.safetensors"
        file.write_bytes(file.read_bytes()[:100])
    elif damage == "json":
        (found / "state.json").write_text("{")
    else:
        (found / "adapter.safetensors").unlink()
    with pytest.raises(WorkerFailed, match="damaged"):
        train(make(), "0", 4)


def test_a_checkpoint_that_does_not_fit_is_not_called_damaged(
    make: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running out of memory while it is picked up is told as what it is."""
    train(make(), "0", 1)

    def full(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Slot, "fill", full)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        make().trial_model("0")


def test_an_exported_adapter_gives_the_same_scores_elsewhere(
    make: Callable[..., Trainer], base: Base, device: Device, tokenizer: Any, tmp_path: Path
) -> None:
    """PEFT loads it on the base, and it answers item by item as recorded."""
    trainer = make()
    train(trainer, "0", 30)
    items = [to_item(row, "t", n) for n, row in enumerate(rows(40, offset=7))]
    write_jsonl(tmp_path / "data" / "items" / "final.jsonl", items)
    model = trainer.trial_model("0")
    evaluator = Evaluator(model, tokenizer, tmp_path / "data", device, whole_head=False, share=True)
    ours = evaluator.score(model, "final", listen, exact=True)
    trainer.export("0", tmp_path / "out")
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == base.id
    assert str(tmp_path) not in (tmp_path / "out" / "README.md").read_text()

    fresh = AutoModelForCausalLM.from_pretrained(base.path)
    loaded = PeftModel.from_pretrained(fresh, tmp_path / "out").eval()
    theirs = evaluator.score(loaded.get_base_model(), "final", listen, exact=True)
    assert theirs == ours


def test_the_packing_check_tells_a_leak(base: Base, device: Device, tokenizer: Any) -> None:
    """A model that ignores the mask is found out; one that honours it passes."""
    model = AutoModelForCausalLM.from_pretrained(base.path).eval()
    samples = list(tokenise(rows(4), tokenizer, "x"))
    good, _ = packing_isolates(model, samples, device)
    assert good

    class Leaky(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
            return model(input_ids=input_ids)

    bad, reason = packing_isolates(Leaky(), samples, device)
    assert not bad
    assert "packing left out" in reason


def test_attention_targets_are_found_in_the_model(base: Base) -> None:
    """The names are the model's own."""
    model = AutoModelForCausalLM.from_pretrained(base.path)
    assert attention_modules(model) == ["k_proj", "o_proj", "q_proj", "v_proj"]
    with pytest.raises(ValueError, match="attn or attention"):
        attention_modules(torch.nn.Sequential(torch.nn.Linear(2, 2)))


def test_a_tokenizer_without_chat_template_takes_the_jobs(tmp_path: Path) -> None:
    """Its own comes first; if there is none at all, the remedy is named."""
    make_tiny_model(tmp_path / "m", chat_template=False)
    bare = AutoTokenizer.from_pretrained(tmp_path / "m")
    with pytest.raises(BadInput, match="no chat template"):
        check_template(bare, "m", tmp_path / "chat_template.jinja")
    (tmp_path / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    assert "study's chat template" in str(
        check_template(bare, "m", tmp_path / "chat_template.jinja")
    )
    (sample,) = tokenise(rows(1), bare, "x")
    assert sample.ids[-1] == bare.eos_token_id
    assert 0 < sample.start < len(sample.ids) - 1
    assert check_template(bare, "m", tmp_path / "other") is None
