"""Rows of text: reading sources, recognising their form, holding items back. Imports no torch.

A row is `{"messages": [{"role", "content"}, ...]}` ending with an assistant message, which is what
is trained on. An item is a row with one right answer: `{"task", "id", "messages", "answer"}` where
`messages` ends with the user's question.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from search.errors import BadInput

Row = dict[str, Any]

FORMS: dict[str, tuple[str, str, str | None]] = {
    "prompt/completion": ("prompt", "completion", None),
    "prompt/response": ("prompt", "response", None),
    "instruction/output": ("instruction", "output", "input"),
    "question/answer": ("question", "answer", None),
}
"""Recognised flat forms: name -> (question field, answer field, optional extra field)."""

ROLES = {"system", "user", "assistant"}


def read_jsonl(path: Path) -> list[Row]:
    """All rows of a JSONL file in chat form.

    Raises:
        BadInput: missing or unreadable file, broken line or unknown form (file and line number
            named), or no row at all.
    """
    rows: list[Row] = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    rows.append(to_chat(_parse(line, path, number), f"{path}, line {number}"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadInput(f"cannot read {path}: {reason}; give the path of a JSONL file") from None
    if not rows:
        raise BadInput(f"{path} holds no row; a source needs at least one line of JSON")
    return rows


def _parse(line: bytes, path: Path, number: int) -> Mapping[str, Any]:
    try:
        fields = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}, line {number}: not UTF-8 text ({error.reason})") from None
    except RecursionError:
        raise BadInput(f"{path}, line {number}: nested too deeply") from None
    except ValueError as error:  # JSONDecodeError, or a number of thousands of digits
        raise BadInput(f"{path}, line {number}: broken JSON ({error}); mend the line") from None
    if not isinstance(fields, dict):
        raise BadInput(
            f"{path}, line {number}: expected a JSON object, got {type(fields).__name__}"
        )
    return fields


def to_chat(fields: Mapping[str, Any], where: str) -> Row:
    """A row of any recognised form as chat messages.

    Raises:
        BadInput: the form is unknown or a message is malformed; `where` is named.
    """
    if "messages" in fields:
        return {"messages": _messages(fields["messages"], where)}
    for question, answer, extra in FORMS.values():
        if question in fields and answer in fields:
            ask, reply = fields[question], fields[answer]
            more = fields.get(extra) if extra else None
            if not isinstance(ask, str) or not isinstance(reply, str):
                raise BadInput(f"{where}: {question!r} and {answer!r} must be text")
            _writable(ask + reply, where)
            if not reply.strip():
                raise BadInput(f"{where}: the answer ({answer!r}) is empty")
            content = f"{ask}\n\n{more}" if isinstance(more, str) and more.strip() else ask
            return {
                "messages": [
                    {"role": "user", "content": content},
                    {"role": "assistant", "content": reply},
                ]
            }
    forms = ", ".join(["messages", *FORMS])
    raise BadInput(f"{where}: unknown form with fields {sorted(fields)}; known forms: {forms}")


def _messages(value: Any, where: str) -> list[dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise BadInput(f"{where}: 'messages' must be a list with at least one message")
    for message in value:
        if (
            not isinstance(message, dict)
            or message.get("role") not in ROLES
            or not isinstance(message.get("content"), str)
        ):
            raise BadInput(
                f"{where}: each message needs a role ({', '.join(sorted(ROLES))}) and text content"
            )
    if value[-1]["role"] != "assistant" or not value[-1]["content"].strip():
        raise BadInput(f"{where}: the last message must be a non-empty one of the assistant")
    for message in value:
        _writable(message["content"], where)
    return [{"role": m["role"], "content": m["content"]} for m in value]


def _writable(text: str, where: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise BadInput(f"{where}: the text holds half a character (a lone surrogate)") from None


def form_of(path: Path) -> str:
    """The recognised form of a file's first row, for the line that is printed about it."""
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                fields = json.loads(line)
                if "messages" in fields:
                    return "chat messages"
                return next(
                    (name for name, (q, a, _) in FORMS.items() if q in fields and a in fields),
                    "unknown",
                )
    return "empty"


def read_hub(reference: str) -> list[Row]:
    """Rows of `id[:config[:split]]` on the Hugging Face hub (split `train` if not given).

    Raises:
        BadInput: the hub cannot be reached, or there is no such dataset, or its form is unknown.
    """
    from datasets import load_dataset  # noqa: PLC0415  # half a second that local files never pay

    name, config, split = [*reference.split(":"), "", ""][:3]
    try:
        dataset = load_dataset(name, config or None, split=split or "train")
    except Exception as error:  # noqa: BLE001  # datasets raises many kinds; the user needs one line
        reason = str(error).strip().split("\n")[0][:200]
        raise BadInput(
            f"cannot get the dataset {reference!r} from the Hugging Face hub ({reason}); "
            "check its name, or give NAME=PATH of a local JSONL file"
        ) from None
    rows = [to_chat(fields, f"{reference}, row {n}") for n, fields in enumerate(dataset)]
    if not rows:
        raise BadInput(f"the dataset {reference!r} holds no row")
    return rows


def prompt_key(row: Row) -> str:
    """What makes two rows the same question: the user's words, without case and spacing."""
    asked = [m["content"] for m in row["messages"] if m["role"] == "user"]
    return " ".join(" ".join(asked).lower().split())


def hold_back(rows: list[Row], count: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Split rows into (training rows, held-back rows), at most a third held back.

    Rows that ask the same question stay on the same side.
    """
    keys = sorted({prompt_key(row) for row in rows})
    random.Random(seed).shuffle(keys)
    held = set(keys[: min(count, len(keys) // 3)])
    first: dict[str, Row] = {}
    for row in rows:
        if (key := prompt_key(row)) in held:
            first.setdefault(key, row)
    return [row for row in rows if prompt_key(row) not in held], [
        first[key] for key in keys if key in first
    ]


def to_item(row: Row, task: str, number: int) -> Row:
    """An evaluation item from a row: the last assistant message is the one right answer."""
    *asked, answer = row["messages"]
    return {"task": task, "id": number, "messages": asked, "answer": answer["content"]}


def write_jsonl(path: Path, rows: Iterable[Row]) -> None:
    """Write rows to a file that is complete or absent, never torn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def iterate_jsonl(path: Path) -> Iterator[Row]:
    """Rows of a file that `write_jsonl` wrote."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
