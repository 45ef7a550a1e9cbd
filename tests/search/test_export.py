"""What other tools are given of a recipe."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from jinja2.sandbox import ImmutableSandboxedEnvironment
from transformers.optimization import _get_wsd_scheduler_lambda

from objectives.objective import Schedule
from objectives.rows import SUMS, hash_file, iterate_jsonl, verify, write_jsonl, write_sums
from search.export import challenge
from search.export.__main__ import main
from search.export.source import Steps, open_recipe, steps_of
from search.export.targets import TARGETS
from search.export.trl import END

WRITTEN = Path(__file__).parent.parent / "formats"
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}\n"
)
TALK = [
    {"role": "system", "content": "Reply briefly."},
    {"role": "user", "content": "2 + 2?"},
    {"role": "assistant", "content": "4 | four"},
]
Change = Callable[[dict[str, Any]], None]


def made(
    folder: Path,
    change: Change = lambda _: None,
    rows: int = 60,
    number: int = 2,
    talk: Sequence[dict[str, str]] = TALK,
) -> Path:
    """A run with a recipe of some rows, an adapter's configuration and a chat template."""
    shutil.copytree(WRITTEN / str(number), folder)
    recipe = folder / "recipe"
    facts = json.loads((recipe / "recipe.json").read_text())
    facts["base"] = {"id": "maker/model", "revision": "ab12" * 10, "origin": "Hugging Face hub"}
    facts["device"] = "NVIDIA H100"
    facts["training"] |= {"steps": 20, "warmup_steps": 4, "decay_start": 15, "total_steps": 20}
    change(facts)
    config = {"peft_type": "LORA", "target_modules": ["v_proj", "q_proj"]}
    (recipe / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    (recipe / "adapter" / "chat_template.jinja").write_text(CHATML)
    write_jsonl(recipe / "data" / "train.jsonl", [{"messages": list(talk)}] * rows)
    data = recipe / "data"
    facts["data"] = {file.name: hash_file(file) for file in data.iterdir() if file.name != SUMS}
    (recipe / "recipe.json").write_text(json.dumps(facts))
    own = [recipe / "recipe.json", *sorted((recipe / "adapter").iterdir())]
    write_sums(recipe, {str(file.relative_to(recipe)): hash_file(file) for file in own})
    return folder


def recipe_of(**fields: Any) -> Change:
    """Change fields of the recipe."""

    def change(facts: dict[str, Any]) -> None:
        facts["recipe"] |= fields

    return change


def exported(run: Path, name: str, file: str = "sft.yaml") -> dict[str, Any]:
    """The file that a trainer is given."""
    assert main([str(run), "--to", name]) == 0
    found: dict[str, Any] = yaml.safe_load(
        (run / "recipe" / "exports" / name / file).read_text(encoding="utf-8")
    )
    return found


FILES = {"trl": "sft.yaml", "axolotl": "axolotl.yaml", "llamafactory": "sft.yaml"}


def test_all_targets_are_written_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each into its own folder, with sums; the recipe itself stays as it was."""
    run = made(tmp_path / "run")
    before = {f: f.read_bytes() for f in (run / "recipe").rglob("*") if f.is_file()}
    assert main([str(run), "--to", "all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(TARGETS)
    exports = run / "recipe" / "exports"
    assert {folder.name for folder in exports.iterdir()} == set(TARGETS)
    for folder in exports.iterdir():
        lines = (folder / SUMS).read_text().splitlines()
        verify(folder, {n: d for d, _, n in (line.partition("  ") for line in lines)}, "now")
    assert all(file.read_bytes() == content for file, content in before.items())
    assert main([str(run / "recipe"), "--to", "trl"]) == 0, "the recipe folder alone, and again"


def talk_of(words: str) -> list[dict[str, str]]:
    """A row that mentions something."""
    return [
        {"role": "user", "content": f"How do I get there?\n{words}"},
        {"role": "assistant", "content": f'cd {words}/work, then "{words}"'},
    ]


TOKEN = "hf_" + "x" * 34
"""As pages show it in place of one."""


def test_what_rows_say_is_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A home that they mention, as a container's /root, and the look of a token: all is written."""
    talk = [*talk_of(str(Path.home())), *talk_of(TOKEN)]
    run = made(tmp_path / "run", talk=talk)
    assert main([str(run), "--to", "all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(TARGETS)
    exports = run / "recipe" / "exports"
    rows = list(iterate_jsonl(exports / "trl" / "train.jsonl"))
    assert rows == [{"prompt": talk[:-1], "completion": talk[-1:]}] * 60
    copied = exports / "challenge" / "recipe" / "data" / "train.jsonl"
    assert copied.read_bytes() == (run / "recipe" / "data" / "train.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("file", "line", "says"),
    [
        ("a.jsonl", "json.dumps(list(source.messages()))", None),
        ("a.csv", "'\\n'.join(m['content'] for talk in source.messages() for m in talk)", None),
        ("a.jsonl", "str(Path.home() / 'secret')", "the path of your home"),
        ("a.yaml", "str(Path.home())", "the path of your home"),
        ("a.jsonl", "'hf_' + 'y' * 34", "a token of the Hugging Face hub"),
        ("a.yaml", "'hf_' + 'x' * 34", "a token of the Hugging Face hub"),
        ("a.jsonl", "str(source.folder)", "the path of the recipe's folder"),
        ("a.jsonl", "os.environ['HF_TOKEN']", "the value of $HF_TOKEN"),
    ],
)
def test_what_rows_do_not_say_is_no_data(
    file: str, line: str, says: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither other paths and tokens among rows, nor these where there are no rows."""
    run = made(tmp_path / "run", talk=[*talk_of(str(Path.home())), *talk_of(TOKEN)])
    own = tmp_path / "own.py"
    own.write_text(
        "import json, os\nfrom pathlib import Path\n\ndef write(source, folder):\n"
        f"    (folder / {file!r}).write_text({line})\n"
    )
    assert main([str(run), "--to", str(own)]) == (2 if says else 0)
    assert says is None or f"{file} holds {says}" in capsys.readouterr().err


def test_a_secret_in_rows_is_not_handed_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the user's own; the forms that were written before are told."""
    run = made(tmp_path / "run", talk=talk_of(os.environ["HF_TOKEN"]))
    assert main([str(run), "--to", "all"]) == 2
    told = capsys.readouterr()
    assert "train.jsonl holds the value of $HF_TOKEN" in told.err
    exports = run / "recipe" / "exports"
    assert told.out.splitlines() == [str(exports / name) for name in ("axolotl", "llamafactory")]
    assert {folder.name for folder in exports.iterdir()} == {"axolotl", "llamafactory"}


@pytest.mark.parametrize("name", FILES)
def test_a_trainer_is_told_every_field(name: str, tmp_path: Path) -> None:
    """Under its own keys."""
    told = exported(
        made(
            tmp_path / "run",
            recipe_of(rank=12, alpha=24, tokens_per_step=2048, quantization="nf4", packing=True),
        ),
        name,
        FILES[name],
    )
    rank = told["lora_rank"] if name == "llamafactory" else told["lora_r"]
    assert (rank, told["lora_alpha"], told["lora_dropout"]) == (12, 24, 0.0)
    assert told["learning_rate"] == pytest.approx(3.918e-4, rel=1e-3)
    assert told["max_grad_norm"] == 1.0
    assert told["lr_scheduler_kwargs"]["decay_type"] == "linear"
    assert (told["warmup_steps"], told["max_steps"]) == (5, 21)
    assert told["lr_scheduler_kwargs"]["num_decay_steps"] == 6
    batch = told.get("micro_batch_size") or told["per_device_train_batch_size"]
    assert batch * told["gradient_accumulation_steps"] == 8
    bits = {
        "trl": ("load_in_4bit", "use_bnb_nested_quant"),
        "axolotl": ("load_in_4bit",),
        "llamafactory": ("quantization_bit", "double_quantization"),
    }
    assert all(told[key] for key in bits[name])
    assert "ab12" * 10 in map(str, told.values())


@pytest.mark.parametrize("name", FILES)
def test_the_fidelity_table_tells_what_differs(name: str, tmp_path: Path) -> None:
    """At least the draw of the first weights, and the batches."""
    run = made(tmp_path / "run", recipe_of(packing=True))
    exported(run, name, FILES[name])
    text = (run / "recipe" / "exports" / name / "FIDELITY.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 16
    lossy = [row for row in rows if "| no |" in row]
    assert {"first weights of the adapter", "tokens per step", "packing", "schedule"} <= {
        row.split("|")[1].strip() for row in lossy
    }
    assert f"Of 16 fields, {16 - len(lossy)} carry over exactly." in text
    for row in rows:
        assert row.count("|") - row.count("\\|") == 6, row
        assert bool(row.split("|")[5].strip()) == ("| no |" in row)


@pytest.mark.parametrize("warmup", [0, 1, 4])
@pytest.mark.parametrize("total", [1, 2, 5, 40])
@pytest.mark.parametrize("decay", [0, 1, 10])
def test_the_exported_schedule_has_our_rates_a_step_later(
    warmup: int, total: int, decay: int
) -> None:
    """Where it says that it has; transformers' own function is asked."""
    start = max(0, total - decay)
    steps = steps_of({"warmup_steps": warmup, "decay_start": start, "total_steps": total})

    def theirs(step: int) -> float:
        return float(
            _get_wsd_scheduler_lambda(
                step,
                num_warmup_steps=steps.warmup,
                num_stable_steps=steps.stable,
                num_decay_steps=steps.decay,
                warmup_type="linear",
                decay_type="linear",
                min_lr_ratio=0.0,
                num_cycles=0.5,
            )
        )

    ours = Schedule(warmup_steps=warmup, decay_start=start, total_steps=total)
    assert theirs(0) == 0
    assert min(steps.warmup, steps.stable + 1, steps.decay) > 0
    if steps.exact:
        assert steps.total == total + 1
        for step in range(total):
            assert theirs(step + 1) == pytest.approx(ours.factor(step))
    else:
        assert start < warmup + 1


def test_a_schedule_that_decays_within_its_warm_up_is_told_to_differ() -> None:
    """Theirs rises first."""
    steps = steps_of({"warmup_steps": 4, "decay_start": 3, "total_steps": 8})
    assert steps == Steps(warmup=5, stable=0, decay=4, exact=False)


def test_trl_gets_prompt_and_completion_in_order(tmp_path: Path) -> None:
    """Row by row, as trained."""
    run = made(tmp_path / "run", rows=3)
    told = exported(run, "trl")
    rows = list(iterate_jsonl(run / "recipe" / told["datasets"][0]["data_files"]))
    assert rows == [{"prompt": TALK[:2], "completion": TALK[2:]}] * 3
    assert told["train_sampling_strategy"] == "sequential"


def test_trls_chat_template_ends_with_the_end_of_turn(tmp_path: Path) -> None:
    """And is the base's own otherwise."""
    run = made(tmp_path / "run")
    told = exported(run, "trl")
    wrapped = (run / "recipe" / told["chat_template_path"]).read_text()
    assert END in wrapped
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    for messages in (TALK, TALK[:2], [*TALK, TALK[1], TALK[2]]):
        for generate in (False, True):
            words = {
                "messages": messages,
                "add_generation_prompt": generate,
                "eos_token": "<|im_end|>",
            }
            whole = environment.from_string(CHATML).render(**words)
            cut = environment.from_string(wrapped).render(**words)
            assert cut == (whole if generate else whole.rstrip("\n"))
    whole = environment.from_string(CHATML).render(messages=TALK, eos_token="</s>")
    cut = environment.from_string(wrapped).render(messages=TALK, eos_token="</s>")
    assert cut == whole, "a template without the token is left alone"


def test_llamafactory_finds_the_rows(tmp_path: Path) -> None:
    """From the folder of its dataset_info.json."""
    run = made(tmp_path / "run")
    told = exported(run, "llamafactory")
    folder = run / "recipe" / told["dataset_dir"]
    info = json.loads((folder / "dataset_info.json").read_text())
    rows = folder / info[told["dataset"]]["file_name"]
    assert rows.resolve() == (run / "recipe" / "data" / "train.jsonl").resolve()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("origin", "revision", "known"),
    [
        ("Hugging Face hub", "a" * 40, True),
        ("local Hugging Face cache", "a" * 40, True),
        ("local folder", "0123456789abcdef", False),
        ("package index", "sha256:" + "b" * 64, False),
    ],
)
def test_a_base_that_is_not_the_hubs_is_told(
    name: str, origin: str, revision: str, known: bool, tmp_path: Path
) -> None:
    """Its commit is carried over, or FIDELITY.md says that there is none."""

    def come(facts: dict[str, Any]) -> None:
        facts["base"] = {"id": "maker/model", "revision": revision, "origin": origin}

    run = made(tmp_path / "run", come)
    told = exported(run, name, FILES[name])
    assert (revision in map(str, told.values())) == known
    text = (run / "recipe" / "exports" / name / "FIDELITY.md").read_text()
    (row,) = (line for line in text.splitlines() if line.startswith("| base model |"))
    assert ("| yes |" in row) == known


@pytest.mark.parametrize("name", FILES)
def test_the_studys_chat_template_is_carried_over_or_told(name: str, tmp_path: Path) -> None:
    """The base has none then."""
    run = made(tmp_path / "run")
    recipe = run / "recipe"
    (recipe / "data" / "chat_template.jinja").write_text(CHATML)
    told = exported(run, name, FILES[name])
    text = (recipe / "exports" / name / "FIDELITY.md").read_text()
    (row,) = (line for line in text.splitlines() if line.startswith("| chat template |"))
    assert "the study's" in row
    if name == "axolotl":
        assert (told["chat_template"], told["chat_template_jinja"]) == ("jinja", CHATML)
    assert ("| no |" in row) == (name == "llamafactory")


def test_a_trained_model_is_not_deleted_by_exporting_again(tmp_path: Path) -> None:
    """Trainers write beside the exports, not into them."""
    run = made(tmp_path / "run")
    for name, file in FILES.items():
        folder = run / "recipe" / exported(run, name, file)["output_dir"]
        folder.mkdir(parents=True)
        (folder / "adapter").write_text("hours of work")
        exported(run, name, file)
        assert (folder / "adapter").is_file()


@pytest.mark.parametrize(
    ("model", "origin"),
    [("folder", "local folder"), ("My model (v2); touch x", "hub"), ("a/b\nRUN x", "hub")],
)
def test_an_image_is_made_for_a_base_of_the_hub_alone(
    model: str, origin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a recipe's base is called, no command comes of it; the other forms are written."""

    def come(facts: dict[str, Any]) -> None:
        facts["base"] = {"id": model, "revision": "1", "origin": origin}

    run = made(tmp_path / "run", come)
    assert main([str(run), "--to", "challenge"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main([str(run), "--to", "all"]) == 0
    assert "left out: challenge" in capsys.readouterr().out
    names = {folder.name for folder in (run / "recipe" / "exports").iterdir()}
    assert names == set(TARGETS) - {"challenge"}


@pytest.mark.parametrize("own", [False, True])
def test_the_training_image_trusts_the_recipes_own_tasks(own: bool, tmp_path: Path) -> None:
    """They are the submitter's; without them nothing is trusted."""
    run = made(tmp_path / "run")
    if own:
        (run / "recipe" / "data" / "tasks").mkdir()
    assert main([str(run), "--to", "challenge"]) == 0
    text = (run / "recipe" / "exports" / "challenge" / "train" / "Dockerfile").read_text()
    assert ("--trust-remote-code" in text) == own


@pytest.mark.parametrize("name", FILES)
def test_what_was_found_on_a_cpu_is_not_packed(name: str, tmp_path: Path) -> None:
    """No trainer keeps packed samples apart there; in rows of one sample the result is the same."""

    def on_cpu(facts: dict[str, Any]) -> None:
        facts["device"] = "CPU, 2 threads"
        facts["recipe"]["packing"] = True

    told = exported(made(tmp_path / "run", on_cpu), name, FILES[name])
    assert not told["sample_packing" if name == "axolotl" else "packing"]
    assert not told["bf16"]
    assert told.get("attn_implementation", told.get("flash_attn")) == "sdpa"
    batch = told.get("micro_batch_size") or told["per_device_train_batch_size"]
    assert batch * told["gradient_accumulation_steps"] == 3


def test_rows_with_several_answers_are_told_where_all_are_trained(tmp_path: Path) -> None:
    """Axolotl trains every assistant message."""
    run = made(tmp_path / "run")
    rows = run / "recipe" / "data" / "train.jsonl"
    write_jsonl(rows, [{"messages": [*TALK, *TALK[1:]]}, {"messages": TALK}])
    recipe = run / "recipe"
    facts = json.loads((recipe / "recipe.json").read_text())
    facts["data"]["train.jsonl"] = hash_file(rows)
    (recipe / "recipe.json").write_text(json.dumps(facts))
    own = [recipe / "recipe.json", *sorted((recipe / "adapter").iterdir())]
    write_sums(recipe, {str(file.relative_to(recipe)): hash_file(file) for file in own})
    exported(run, "axolotl", "axolotl.yaml")
    text = (recipe / "exports" / "axolotl" / "FIDELITY.md").read_text()
    assert "1 rows have earlier assistant messages" in text


@pytest.mark.parametrize("number", [1, 2])
def test_the_model_card_is_one_that_the_hub_can_read(number: int, tmp_path: Path) -> None:
    """A result per task with its error, items and version, where the recipe knows them."""
    run = made(tmp_path / "run", number=number)
    assert main([str(run), "--to", "peft"]) == 0
    folder = run / "recipe" / "exports" / "peft"
    assert (folder / "adapter_model.safetensors").is_file()
    card = ModelCard.load(folder / "README.md")
    results = card.data.eval_results
    assert card.data.base_model == "maker/model"
    assert {result.dataset_type for result in results} == {"alpha", "beta", "gamma"}
    for result in results:
        assert result.metric_value == 0.0
        assert (result.metric_args is None) == (number == 1)
    assert card.data.to_dict()["search_gpu_hours"] > 0


def test_the_folder_of_the_challenge_holds_no_weights_and_no_secret(tmp_path: Path) -> None:
    """Two Dockerfiles, whose files are all there."""
    run = made(tmp_path / "run")
    assert main([str(run), "--to", "challenge"]) == 0
    folder = run / "recipe" / "exports" / "challenge"
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert not [f for f in files if f.suffix in (".safetensors", ".bin", ".pt", ".pyc")]
    for docker in (folder / "Dockerfile", folder / "train" / "Dockerfile"):
        lines = docker.read_text().splitlines()
        assert lines.count(f"FROM python:{challenge.PYTHON}-slim") == 1
        for line in lines:
            if line.startswith("COPY "):
                assert (folder / line.split()[1]).exists(), line
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")
        if "tool" not in file.parts:
            assert "somebody-with-a-name" not in text
            assert str(tmp_path) not in text
        assert "hf_theSecretOfSomebody" not in text
    pins = (folder / "requirements.txt").read_text().splitlines()
    names = {line.partition("==")[0] for line in pins}
    assert {"torch", "transformers", "peft", "optuna", "safetensors"} <= names
    assert all(line.count("==") == 1 and "+" not in line for line in pins)


def test_requirements_are_pinned_all_the_way_down() -> None:
    """With what the requirements of requirements need, and the extras that were asked for."""
    found = challenge.pinned("recipe-search")
    assert "jinja2" in found
    assert "markupsafe" in found
    assert "pytest" not in found
    assert "pytest" in challenge.pinned("recipe-search", frozenset({"dev"}))


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda run: shutil.rmtree(run), "no such folder"),
    "no recipe": (lambda run: shutil.rmtree(run / "recipe"), "no recipe yet"),
    "rows changed": (
        lambda run: (run / "recipe" / "data" / "train.jsonl").write_text("{}\n"),
        "changed",
    ),
    "no adapter": (
        lambda run: (run / "recipe" / "adapter" / "adapter_model.safetensors").unlink(),
        "missing",
    ),
    "in the way": (lambda run: (run / "recipe" / "exports").write_text(""), "cannot write"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_in_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is half written."""
    spoil, told = BAD[name]
    run = made(tmp_path / "run")
    spoil(run)
    assert main([str(run), "--to", "all"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert told in error
    assert not list(tmp_path.rglob("*.part"))


def test_a_training_image_needs_no_weights(tmp_path: Path) -> None:
    """The recipe in it can be read, and says which weights are meant."""
    run = made(tmp_path / "run")
    digest = hash_file(run / "recipe" / "adapter" / "adapter_model.safetensors")
    assert main([str(run), "--to", "challenge"]) == 0
    from search.read_recipe import read_recipe  # noqa: PLC0415  # here alone

    inner = run / "recipe" / "exports" / "challenge" / "recipe"
    assert read_recipe(inner, weights=False)["adapter"] == digest
    assert open_recipe(run).facts["adapter"] == digest
