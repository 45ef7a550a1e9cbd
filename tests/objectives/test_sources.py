"""Reading sources: forms, file formats, the hub, errors that name file and row, bounded memory."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import logging
import os
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objectives import readers
from objectives.forms import FORMS
from objectives.rows import Row
from objectives.sources import FIRST, check, read
from search.errors import BadInput
from studies.study import HubDataset, LocalFile

Fields = dict[str, Any]

USER = {"role": "user", "content": "q"}
BOT = {"role": "assistant", "content": "a"}
CHAT = {"messages": [USER, BOT]}
PAIR = {"prompt": "q", "completion": "a"}


def rows_of(path: Path) -> list[Row]:
    """All rows of a local file."""
    return list(read(LocalFile(path=path), "mine").rows)


def write_jsonl(path: Path, records: list[Fields]) -> None:
    """One object a line; a gzipped file if its name says so."""
    text = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def write_json(path: Path, records: list[Fields]) -> None:
    """One array, spread over lines."""
    path.write_text(json.dumps(records, ensure_ascii=False, indent=1), encoding="utf-8")


def write_data(path: Path, records: list[Fields]) -> None:
    """The array `data` of an object that holds other things too."""
    path.write_text(json.dumps({"version": 1234567890, "data": records, "more": {"data": [1]}}))


def write_parquet(path: Path, records: list[Fields]) -> None:
    """One column a field."""
    pq.write_table(pa.Table.from_pylist(records), path)


def write_csv(path: Path, records: list[Fields]) -> None:
    """One column a field; what is no text as JSON."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        for record in records:
            cells = {k: v if isinstance(v, str) else json.dumps(v) for k, v in record.items()}
            writer.writerow(cells)


WRITERS: dict[str, Callable[[Path, list[Fields]], None]] = {
    "rows.jsonl": write_jsonl,
    "rows.ndjson": write_jsonl,
    "rows.JSONL.gz": write_jsonl,
    "rows.json": write_json,
    "data.json": write_data,
    "lines.json": write_jsonl,
    "rows.parquet": write_parquet,
    "rows.csv": write_csv,
}


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        (CHAT, "chat messages (field 'messages')"),
        (
            {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
            "ShareGPT (field 'conversations')",
        ),
        (
            {"prompt": [USER], "completion": [BOT]},
            "conversational prompt/completion (fields 'prompt' and 'completion')",
        ),
        (PAIR, "prompt/completion (fields 'prompt' and 'completion')"),
        (
            {"prompt": "q", "response": "a"},
            "prompt/response (fields 'prompt' and 'response')",
        ),
        (
            {"instruction": "q", "output": "a"},
            "instruction/output (fields 'instruction' and 'output')",
        ),
        (
            {"instruction": "q", "input": " ", "output": "a"},
            "instruction/output (fields 'instruction' and 'output' and 'input')",
        ),
        (
            {"question": "q", "answer": "a", "system": "Be brief.", "id": 7},
            "question/answer (fields 'question' and 'answer'); not used: 'id', 'system'",
        ),
    ],
)
def test_known_forms_become_the_same_chat(fields: Fields, form: str, tmp_path: Path) -> None:
    """Every recognised form ends as messages; the form and its reason are told."""
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [fields])
    reading = read(LocalFile(path=path), "mine")
    assert list(reading.rows) == [CHAT]
    assert reading.form == form
    assert (reading.licence, reading.revision) == (None, None)


def test_messages_win_over_the_prompt_that_stands_beside_them(tmp_path: Path) -> None:
    """Many published chats repeat their first question in a field of its own."""
    write_jsonl(tmp_path / "rows.jsonl", [{"prompt": "x", "completion": "y", **CHAT}])
    assert rows_of(tmp_path / "rows.jsonl") == [CHAT]


def test_an_instructions_input_follows_it(tmp_path: Path) -> None:
    """The optional input is part of the question."""
    write_jsonl(tmp_path / "rows.jsonl", [{"instruction": "add", "input": "1 2", "output": "3"}])
    assert rows_of(tmp_path / "rows.jsonl")[0]["messages"][0]["content"] == "add\n\n1 2"


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({"prompt": "q", "completion": ""}, [USER]),
        ({"prompt": "q", "completion": None}, [USER]),
        ({"messages": [USER, {"role": "assistant", "content": None}]}, [USER]),
        ({"messages": [USER]}, [USER]),
        ({"conversations": []}, []),
        ({"messages": None}, []),
        ({"prompt": [USER], "completion": []}, [USER]),
    ],
)
def test_a_row_without_an_answer_ends_with_an_empty_one(
    fields: Fields, asked: list[Fields], tmp_path: Path
) -> None:
    """It is no error: whoever cleans the rows drops and counts it."""
    write_jsonl(tmp_path / "rows.jsonl", [fields])
    empty = {"role": "assistant", "content": ""}
    assert rows_of(tmp_path / "rows.jsonl") == [{"messages": [*asked, empty]}]


def test_what_follows_the_last_answer_is_cut(tmp_path: Path) -> None:
    """A question without an answer teaches nothing."""
    system = {"role": "system", "content": "s"}
    write_jsonl(tmp_path / "rows.jsonl", [{"messages": [system, USER, BOT, USER, system]}])
    assert rows_of(tmp_path / "rows.jsonl") == [{"messages": [system, USER, BOT]}]


BAD_ROWS = [
    ({"text": "x"}, "no field 'messages', which the first row (chat messages) has"),
    ({"messages": "q"}, "'messages' must be a list of messages"),
    ({"messages": ["q"]}, "each message needs a role and text content"),
    ({"messages": [{"role": "user"}]}, "each message needs a role and text content"),
    ({"messages": [{"role": "robot", "content": "q"}]}, "role is 'robot'; known roles: system"),
    ({"messages": [{"content": "q"}]}, "role is None"),
    ({"messages": [{"role": ["user"], "content": "q"}]}, "role is ['user']"),
    ({"messages": [{"role": "user", "content": ["q"]}]}, "content must be text, not list"),
    ({"messages": [USER, {"role": "tool", "content": "7"}, BOT]}, "rows with tool calls"),
    ({"messages": [USER, {"role": "function", "content": "7"}, BOT]}, "rows with tool calls"),
    ({"messages": [USER, {**BOT, "tool_calls": [{"id": 1}]}]}, "rows with tool calls"),
    ({"messages": [{"role": "user", "content": "\ud800"}]}, "half a character"),
]


@pytest.mark.parametrize(("fields", "says"), BAD_ROWS)
def test_a_malformed_row_is_named_with_file_and_row(
    fields: Fields, says: str, tmp_path: Path
) -> None:
    """The user learns which row of which file to mend."""
    for name in ("rows.jsonl", "rows.json"):
        write_jsonl(tmp_path / name, [CHAT, fields])
        with pytest.raises(BadInput) as caught:
            rows_of(tmp_path / name)
        unit = "line" if name.endswith("l") else "row"
        assert str(caught.value).startswith(f"{tmp_path / name}, {unit} 2: ")
        assert says in str(caught.value)


def test_fields_of_a_pair_must_be_text(tmp_path: Path) -> None:
    """A number or list is no question, answer or input; one list alone is no chat."""
    write_jsonl(tmp_path / "rows.jsonl", [{"prompt": "q", "completion": [BOT]}])
    with pytest.raises(BadInput, match="line 1: 'completion' must be text, not list"):
        rows_of(tmp_path / "rows.jsonl")
    alpaca = {"instruction": "q", "input": "i", "output": "a"}
    for change in ({"instruction": 1}, {"input": ["i"]}, {"output": {"a": 1}}):
        write_jsonl(tmp_path / "rows.jsonl", [alpaca, {**alpaca, **change}])
        with pytest.raises(BadInput, match=f"line 2: '{next(iter(change))}' must be text, not"):
            rows_of(tmp_path / "rows.jsonl")


def test_an_unknown_form_lists_its_fields_and_the_known_forms(tmp_path: Path) -> None:
    """The user sees what to rename."""
    write_jsonl(tmp_path / "rows.jsonl", [{"text": "x", "chosen": "y"}])
    with pytest.raises(
        BadInput, match=r"line 1: unknown form with fields \['chosen', 'text'\]"
    ) as e:
        check(LocalFile(path=tmp_path / "rows.jsonl"))
    assert all(form.name in str(e.value) for form in FORMS)


BROKEN = [
    ("rows.jsonl", b"{broken", "line 2: broken JSON"),
    ("rows.jsonl", b"[1, 2]", "line 2: expected a JSON object, got list"),
    ("rows.jsonl", b"\xff\xfe", "line 2: not UTF-8"),
    ("rows.jsonl", b"[" * 100_000, "line 2: nested too deeply"),
    ("rows.jsonl", b'{"a": 1' + b"0" * 5000 + b"}", "line 2: broken JSON"),
    ("array.json", b", {broken]", "row 2: broken JSON"),
    ("array.json", b", ]", "row 2: broken JSON"),
    ("array.json", b", 7]", "row 2: expected a JSON object, got int"),
    (
        "array.json",
        b', {"prompt": "q", "completion": "a"}',
        "broken JSON (expected , or ], got the end of the file)",
    ),
    ("array.json", b"] x", "broken JSON (more text after the end)"),
    ("array.json", b"] \xff", "not UTF-8"),
    ("array.json", b", " + b"[" * 100_000, "row 2: nested too deeply"),
    ("array.json", b', {"a": 1' + b"0" * 5000 + b"}]", "row 2: broken JSON"),
    ("array.json", b', {"prompt": "\\ud800", "completion": "a"}]', "row 2: the text holds half"),
    ("data.json", b'], "more": 1', "broken JSON (expected , or }, got the end of the file)"),
    ("data.json", b"], more: 1}", "broken JSON (expected a field's name in double quotes)"),
    ("data.json", b"]}}", "broken JSON (more text after the end)"),
    ("rows.csv", b"q,a,b", "line 4: 3 cells under a header of 2"),
    ("rows.csv", b"q", "line 4: 1 cells under a header of 2"),
    ("rows.csv", b'"q"x,a', "line 4: broken CSV"),
    ("rows.csv", b'"q,a', "line 4: broken CSV"),
    ("rows.csv", b"q,\xff", "line 4: not UTF-8"),
]
GOOD = {
    "rows.jsonl": b'{"prompt": "q", "completion": "a"}\n',
    "array.json": b'[{"prompt": "q", "completion": "a"}',
    "data.json": b'{"data": [{"prompt": "q", "completion": "a"}',
    "rows.csv": b'prompt,completion\n"q\n",a\n',
}


@pytest.mark.parametrize(("name", "content", "says"), BROKEN)
def test_what_is_broken_is_named_with_file_and_row(
    name: str, content: bytes, says: str, tmp_path: Path
) -> None:
    """In every text format, after a row that is right."""
    path = tmp_path / name
    path.write_bytes(GOOD[name] + content)
    with pytest.raises(BadInput) as caught:
        rows_of(path)
    assert str(caught.value).startswith(f"{path}, ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parquet_that_is_broken_or_holds_no_text_is_bad_input(tmp_path: Path) -> None:
    """No format's own exception reaches the user."""
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(BadInput, match=f"{path}, after row 0: broken Parquet"):
        rows_of(path)
    write_parquet(path, [{"prompt": 1, "completion": "a"}])
    with pytest.raises(BadInput, match=f"{path}, row 1: 'prompt' must be text, not int"):
        rows_of(path)
    text = pa.array([b"q", b"\xff"]).view(pa.string())
    pq.write_table(pa.table({"prompt": text, "completion": text}), path)
    with pytest.raises(BadInput, match=f"{path}, after row 0: broken Parquet.*utf-8"):
        rows_of(path)


def test_a_broken_gzip_is_bad_input(tmp_path: Path) -> None:
    """Cut short, damaged, or not gzipped at all."""
    path = tmp_path / "rows.jsonl.gz"
    write_jsonl(path, [PAIR] * 50)
    whole = path.read_bytes()
    for content in (whole[:-12], whole[:10] + b"\xff" * 10, b"{}"):
        path.write_bytes(content)
        with pytest.raises(BadInput, match=f"cannot read {path}"):
            rows_of(path)


def test_a_file_that_cannot_be_read_is_bad_input(tmp_path: Path) -> None:
    """Missing, a folder, secret, empty, of unknown kind: each has its own words."""
    for name in ("none.jsonl", "none.parquet", "none.txt"):
        with pytest.raises(BadInput, match="No such file"):
            check(LocalFile(path=tmp_path / name))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(BadInput, match="Is a directory"):
        check(LocalFile(path=tmp_path / "folder.csv"))
    for name, content in [
        ("a.jsonl", b"\n\n"),
        ("a.json", b" [] "),
        ("a.csv", b"prompt,completion\n"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match="holds no row"):
            check(LocalFile(path=tmp_path / name))
    for name in ("notes.txt", "notes", "rows.parquet.gz"):
        (tmp_path / name).write_text("{}")
        with pytest.raises(BadInput, match=r"give a JSONL, JSON, Parquet or CSV file, named so"):
            check(LocalFile(path=tmp_path / name))
    if os.geteuid() != 0:
        secret = tmp_path / "secret.jsonl"
        secret.write_text("{}")
        secret.chmod(0)
        with pytest.raises(BadInput, match="Permission denied"):
            check(LocalFile(path=secret))


def test_checking_looks_at_the_first_rows_only(tmp_path: Path) -> None:
    """A file of millions of rows is checked at once; the rest is found while it streams."""
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [PAIR] * (FIRST - 1) + [{"prompt": 1, "completion": "a"}])
    with pytest.raises(BadInput, match=f"line {FIRST}: "):
        check(LocalFile(path=path))
    write_jsonl(path, [PAIR] * FIRST + [{"prompt": 1, "completion": "a"}])
    check(LocalFile(path=path))
    rows = read(LocalFile(path=path), "mine").rows
    assert len(list(itertools.islice(rows, FIRST))) == FIRST
    with pytest.raises(BadInput, match=f"line {FIRST + 1}: "):
        next(rows)


def test_checking_asks_the_hub_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job's arguments are checked without a network."""
    monkeypatch.setattr("datasets.load_dataset", None)
    check(HubDataset(id="nobody/nothing"))


@pytest.mark.parametrize("name", WRITERS)
def test_memory_holds_a_small_part_of_the_rows(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source is read through in far less memory than its text takes."""
    monkeypatch.setattr(readers, "PIECE", 2**14)
    monkeypatch.setattr(readers, "BATCH", 16)
    records = [{"prompt": f"{n} " * 200, "completion": "a" * 200} for n in range(4000)]
    size = sum(len(text) for record in records for text in record.values())
    path = tmp_path / name
    WRITERS[name](path, records)
    check(LocalFile(path=path))  # so that everything is imported
    tracemalloc.start()
    assert sum(1 for _ in read(LocalFile(path=path), "mine").rows) == len(records)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 10


def test_parquet_is_not_read_a_row_group_at_a_time(tmp_path: Path) -> None:
    """Other libraries write all rows as one group, which would be the whole file."""
    path = tmp_path / "rows.parquet"
    noise = [os.urandom(2000).hex() for _ in range(8000)]
    table = pa.table({"prompt": noise, "completion": noise})
    pq.write_table(table, path, row_group_size=len(noise), compression="none", use_dictionary=False)
    del table, noise
    tracemalloc.start()  # the file is Python's, and so is what is read from it
    assert sum(1 for _ in read(LocalFile(path=path), "mine").rows) == 8000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 4


def test_a_file_says_how_many_rows_it_has_if_it_knows(tmp_path: Path) -> None:
    """Parquet does; the others would have to be read first."""
    for name, write in WRITERS.items():
        write(tmp_path / name, [PAIR] * 3)
        total = read(LocalFile(path=tmp_path / name), "mine").total
        assert total == (3 if name.endswith("parquet") else None)


def test_what_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line, a JSON value and a CSV cell have a limit, so a broken file is not read whole."""
    monkeypatch.setattr(readers, "PIECE", 10)
    monkeypatch.setattr(readers, "LONGEST", 100)
    reads: list[object] = []
    more = readers._Json._more

    def counted(text: readers._Json) -> bool:
        reads.append(text)
        return more(text)

    monkeypatch.setattr(readers._Json, "_more", counted)
    for name, content, says in [
        ("a.jsonl", b"x" * 10_000, "line 1: longer than"),
        ("a.json", b'[{"prompt": "' + b"x" * 10_000, "row 1: broken JSON"),
        ("a.csv", b'prompt\n"' + b"x\n" * 10_000, "field larger than field limit"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match=says):
            rows_of(tmp_path / name)
    assert 0 < len(reads) < 10


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
says = st.tuples(st.sampled_from(["system", "user", "assistant"]), texts)
chats = st.lists(says, max_size=4)
SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}


def as_chat(said: list[tuple[str, str]]) -> list[Fields]:
    """Messages with `role` and `content`."""
    return [{"role": role, "content": text} for role, text in said]


def pairs(ask: str, answer: str, extra: str | None = None) -> st.SearchStrategy[Any]:
    """(records, the chats they mean) of a form with a question and an answer."""

    def both(drawn: list[tuple[str, str, str]]) -> tuple[list[Fields], list[Any]]:
        records = [{ask: q, answer: a} | ({extra: more} if extra else {}) for q, more, a in drawn]
        meant = [
            [("user", f"{q}\n\n{more}" if extra and more.strip() else q), ("assistant", a)]
            for q, more, a in drawn
        ]
        return records, meant

    return st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=5).map(both)


def lists(write: Callable[[list[tuple[str, str]]], Fields]) -> st.SearchStrategy[Any]:
    """(records, the chats they mean) of a form with lists of messages."""

    def both(drawn: list[list[tuple[str, str]]]) -> tuple[list[Fields], list[Any]]:
        meant = []
        for said in drawn:
            ended = list(said)
            while ended and ended[-1][0] != "assistant":
                ended.pop()
            meant.append(ended or [*said, ("assistant", "")])
        return [write(said) for said in drawn], meant

    return st.lists(chats, min_size=1, max_size=5).map(both)


def sharegpt(said: list[tuple[str, str]]) -> Fields:
    """The row with `from` and `value`."""
    return {"conversations": [{"from": SHAREGPT[role], "value": text} for role, text in said]}


def two_lists(said: list[tuple[str, str]]) -> Fields:
    """The row with its last message as the completion."""
    return {"prompt": as_chat(said[:-1]), "completion": as_chat(said[-1:])}


any_form = st.one_of(
    lists(lambda said: {"messages": as_chat(said)}),
    lists(sharegpt),
    lists(two_lists),
    pairs("prompt", "completion"),
    pairs("prompt", "response"),
    pairs("instruction", "output"),
    pairs("instruction", "output", "input"),
    pairs("question", "answer"),
)


@pytest.mark.parametrize("name", WRITERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(drawn=any_form)
def test_rows_of_any_form_come_back_from_any_format(name: str, drawn: Any, tmp_path: Path) -> None:
    """The same chats, in the same order, whatever signs they hold and wherever a piece ends.

    CSV has cells of text only, so the form with two lists of messages does not exist there.
    """
    records, meant = drawn
    if name == "rows.csv" and isinstance(records[0].get("prompt"), list):
        return
    WRITERS[name](tmp_path / name, records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "PIECE", 7)
        patch.setattr(readers, "BATCH", 2)
        found = rows_of(tmp_path / name)
    assert found == [{"messages": as_chat(said)} for said in meant]


@pytest.mark.parametrize("name", WRITERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=60) | st.text('[]{}",:\\ued801 \n', max_size=40).map(str.encode))
def test_any_bytes_are_rows_or_bad_input(name: str, content: bytes, tmp_path: Path) -> None:
    """No file content makes the reader fail in another way."""
    (tmp_path / name).write_bytes(content)
    with suppress(BadInput):
        assert rows_of(tmp_path / name)


def test_a_field_that_is_called_data_may_be_anything_else(tmp_path: Path) -> None:
    """Only an array there holds the rows; other objects are rows themselves."""
    write_jsonl(tmp_path / "rows.json", [{"data": "x", **CHAT}, {"data": {}, **CHAT}])
    assert rows_of(tmp_path / "rows.json") == [CHAT, CHAT]


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    """Spreadsheets and some editors write one."""
    for name, write in WRITERS.items():
        if name.endswith(("jsonl", "json", "csv")):
            write(tmp_path / name, [PAIR])
            content = (tmp_path / name).read_bytes()
            (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content)
            assert rows_of(tmp_path / name) == [CHAT]


class FakeHub:
    """Stands for the hub: knows one dataset, and writes down what it is asked."""

    def __init__(self, rows: Iterator[Fields], licence: Any = "mit", splits: Any = None) -> None:
        self.rows = rows
        self.licence = licence
        self.splits = splits
        self.asked: list[Any] = []

    def load_dataset(self, *words: Any, **options: Any) -> Any:
        self.asked.append((words, options))
        return self

    def dataset_info(self, _: Any, repo: str, *, revision: str | None) -> Any:
        self.asked.append((repo, revision))
        return SimpleNamespace(sha="c0ffee", card_data=SimpleNamespace(license=self.licence))

    @property
    def info(self) -> Any:
        return SimpleNamespace(splits=self.splits)

    def __iter__(self) -> Iterator[Fields]:
        return self.rows

    def __enter__(self) -> FakeHub:
        self._patch = pytest.MonkeyPatch()
        # by name, so that neither is imported before the hub is switched off
        self._patch.setattr("datasets.load_dataset", self.load_dataset)
        self._patch.setattr(
            "huggingface_hub.HfApi.dataset_info", lambda *a, **k: self.dataset_info(*a, **k)
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


def test_the_hub_is_read_as_a_stream_at_the_commit_it_gives() -> None:
    """What was read can be had again: the commit is asked for first, and then read."""
    splits = {"test": SimpleNamespace(num_examples=10**9)}
    with FakeHub(itertools.repeat(PAIR), splits=splits) as hub:
        origin = HubDataset(id="a/b", config="main", split="test", revision="v1")
        reading = read(origin, "mine")
        assert list(itertools.islice(reading.rows, 3)) == [CHAT] * 3
    options = {"split": "test", "revision": "c0ffee", "streaming": True}
    assert hub.asked == [("a/b", "v1"), (("a/b", "main"), options)]
    assert (reading.total, reading.licence, reading.revision) == (10**9, "mit", "c0ffee")
    assert reading.form == "prompt/completion (fields 'prompt' and 'completion')"


@pytest.mark.parametrize(
    ("licence", "told"), [(None, None), ("unknown", None), (["mit", "cc0-1.0"], "mit, cc0-1.0")]
)
def test_the_licence_is_what_the_card_says(licence: Any, told: str | None) -> None:
    """Nothing is guessed; a dataset without splits in its card has an unknown number of rows."""
    with FakeHub(iter([PAIR]), licence) as hub:
        reading = read(HubDataset(id="a/b"), "mine")
        assert (reading.licence, reading.total) == (told, None)
        assert hub.asked[1][1]["split"] == "train"


def broken_stream() -> Iterator[Fields]:
    """A connection that is lost after two rows."""
    yield PAIR
    yield PAIR
    raise ConnectionResetError("the peer\nhung up")


def test_a_stream_that_breaks_and_a_row_that_is_wrong_are_named() -> None:
    """One line each, with the dataset and the row."""
    with FakeHub(broken_stream()):
        rows = read(HubDataset(id="a/b"), "mine").rows
        assert [next(rows), next(rows)] == [CHAT, CHAT]
        with pytest.raises(BadInput, match=r"dataset 'a/b' after row 2 \(.*the peer hung up"):
            next(rows)
    with FakeHub(iter([PAIR, {"prompt": 1, "completion": "a"}])):
        rows = read(HubDataset(id="a/b"), "mine").rows
        next(rows)
        with pytest.raises(BadInput, match="a/b, row 2: 'prompt' must be text"):
            next(rows)
    with FakeHub(iter([])), pytest.raises(BadInput, match="the dataset 'a/b' holds no row"):
        read(HubDataset(id="a/b"), "mine")


def test_without_a_hub_a_dataset_is_one_line_of_bad_input() -> None:
    """The user learns what was asked for and what to give instead."""
    for revision in (None, "v1"):
        with pytest.raises(BadInput, match="cannot get the dataset 'nobody/nothing'") as caught:
            read(HubDataset(id="nobody/nothing", revision=revision), "mine")
        assert "give mine=PATH of a local file" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_folder_has_no_commit(tmp_path: Path) -> None:
    """datasets reads it even if the hub has a dataset of that name."""
    with FakeHub(iter([PAIR])) as hub:
        reading = read(HubDataset(id=str(tmp_path)), "mine")
    assert (reading.revision, reading.licence, len(hub.asked)) == (None, None, 1)


def test_out_of_reach_no_other_revision_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """datasets would fall back on whatever its cache has, which may be another revision."""
    with FakeHub(iter([PAIR])) as hub:
        monkeypatch.setattr(hub, "dataset_info", None)  # calling it fails
        assert read(HubDataset(id="a/b"), "mine").revision is None
        with pytest.raises(BadInput, match="cannot get the dataset 'a/b'"):
            read(HubDataset(id="a/b", revision="v1"), "mine")


CARD = """---
license: mit
configs:
- config_name: one
  data_files: one.jsonl
- config_name: two
  data_files: two.jsonl
dataset_info:
- config_name: one
  features: [{name: messages, list: [{name: role, dtype: string}, {name: content, dtype: string}]}]
- config_name: two
  features: [{name: prompt, dtype: string}, {name: completion, dtype: string}]
  splits: [{name: train, num_examples: 3}]
---
"""


def test_the_real_loader_reads_a_folder_as_it_reads_the_hub(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Configurations, splits and the number of rows as the card has them; nothing is logged."""
    logger = logging.getLogger("datasets")
    logger.addHandler(caplog.handler)
    (tmp_path / "README.md").write_text(CARD)
    write_jsonl(tmp_path / "one.jsonl", [CHAT])
    write_jsonl(tmp_path / "two.jsonl", [PAIR] * 3)
    folder = str(tmp_path)
    reading = read(HubDataset(id=folder, config="two"), "mine")
    assert (list(reading.rows), reading.total, reading.revision) == ([CHAT] * 3, 3, None)
    assert list(read(HubDataset(id=folder, config="one"), "mine").rows) == [CHAT]
    for origin, says in [
        (HubDataset(id=folder), f"pick one of 'one', 'two', and write mine={folder}:CONFIG"),
        (HubDataset(id=folder, config="six"), r"Available: \['one', 'two'\]"),
        (HubDataset(id=folder, config="one", split="test"), r"Available splits: \['train'\]"),
    ]:
        with pytest.raises(BadInput, match=says):
            read(origin, "mine")
    (tmp_path / "one.jsonl").write_text("{broken\n")
    with pytest.raises(BadInput, match="after row 0"):
        read(HubDataset(id=folder, config="one"), "mine")
    logger.removeHandler(caplog.handler)
    assert not caplog.records
