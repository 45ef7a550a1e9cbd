"""Forms of training rows: recognised by their fields, and turned into chat messages.

A row has an answer or none: an empty or missing answer is an empty assistant message at the end,
for whoever cleans the data to drop and count. Everything else that is not as its form says is an
error. Imports no torch.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from objectives.rows import Row
from search.errors import BadInput

ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}
"""A message's `role` or `from` -> the role it has here."""

TOOLS = {"tool", "function", "function_call", "observation"}
"""Roles of tool calls and of what they return, in both vocabularies."""

SHOWN = 5
"""Unused fields that are named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """One way to write a row."""

    name: str
    fields: tuple[str, ...]
    """What a row must have: fields with messages, or a question and its answer."""
    chat: bool = False
    """The fields hold lists of messages, one list after the other."""
    extra: str | None = None
    """A field that may follow the question."""

    def matches(self, fields: Mapping[str, Any]) -> bool:
        """Whether a row is of this form; two fields are of messages only if both are lists."""
        if not all(name in fields for name in self.fields):
            return False
        pair = self.chat and len(self.fields) > 1
        return not pair or all(isinstance(fields[name], list) for name in self.fields)

    def describe(self, fields: Mapping[str, Any]) -> str:
        """Name, the fields that were recognised, and those of a row that are not used."""
        used = [name for name in (*self.fields, self.extra) if name in fields]
        quoted = " and ".join(map(repr, used))
        text = f"{self.name} (field{'s' if len(used) > 1 else ''} {quoted})"
        if others := sorted(set(fields) - set(used)):
            more = ", …" if len(others) > SHOWN else ""
            text += f"; not used: {', '.join(map(repr, others[:SHOWN]))}{more}"
        return text

    def to_chat(self, fields: Mapping[str, Any], where: str) -> Row:
        """A row of this form as chat messages, the last one of the assistant.

        What follows the last assistant message is cut: there is nothing in it to learn. If there
        is no assistant message, an empty one is added.

        Raises:
            BadInput: a field is missing or malformed; `where` is named.
        """
        if missing := [name for name in self.fields if name not in fields]:
            raise BadInput(
                f"{where}: no field {missing[0]!r}, which the first row ({self.name}) has; "
                f"found the fields {sorted(fields)}"
            )
        if not self.chat:
            ask, reply = (_text(fields[name], repr(name), where) for name in self.fields)
            more = _text(fields.get(self.extra), repr(self.extra), where) if self.extra else ""
            content = f"{ask}\n\n{more}" if more.strip() else ask
            return {"messages": [_said("user", content), _said("assistant", reply)]}
        messages = [m for name in self.fields for m in _messages(fields[name], name, where)]
        ends = [number for number, m in enumerate(messages, 1) if m["role"] == "assistant"]
        return {"messages": messages[: ends[-1]] if ends else [*messages, _said("assistant", "")]}


FORMS = (
    Form(name="chat messages", fields=("messages",), chat=True),
    Form(name="ShareGPT", fields=("conversations",), chat=True),
    Form(name="conversational prompt/completion", fields=("prompt", "completion"), chat=True),
    Form(name="prompt/completion", fields=("prompt", "completion")),
    Form(name="prompt/response", fields=("prompt", "response")),
    Form(name="instruction/output", fields=("instruction", "output"), extra="input"),
    Form(name="instruction/response", fields=("instruction", "response"), extra="context"),
    Form(name="question/answer", fields=("question", "answer")),
)
"""Recognised forms; the first that matches counts."""


def recognise(fields: Mapping[str, Any], where: str) -> Form:
    """The form of a row.

    Raises:
        BadInput: it is of none; `where`, its fields and the known forms are named.
    """
    for form in FORMS:
        if form.matches(fields):
            return form
    known = ", ".join(f"{form.name} ({', '.join(form.fields)})" for form in FORMS)
    raise BadInput(f"{where}: unknown form with fields {sorted(fields)}; known forms: {known}")


def _said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _messages(value: Any, name: str, where: str) -> list[dict[str, str]]:
    """Messages of a list, or of a list written as JSON (as a CSV cell holds it)."""
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):  # then it is still text, and refused below
            value = json.loads(value) if value.strip() else None
    if value is not None and not isinstance(value, list):
        raise BadInput(f"{where}: {name!r} must be a list of messages")
    return [_message(message, where) for message in value or ()]


def _message(message: Any, where: str) -> dict[str, str]:
    if not isinstance(message, dict) or not {"content", "value"} & set(message):
        raise BadInput(f"{where}: each message needs a role and text content")
    role = message.get("role") or message.get("from")
    content = message.get("content") if message.get("value") is None else message["value"]
    if isinstance(role, str) and role in TOOLS:
        raise BadInput(f"{where}: a message of role {role!r}; rows with tool calls cannot be used")
    if message.get("tool_calls") or message.get("function_call"):
        raise BadInput(f"{where}: a message calls a tool; rows with tool calls cannot be used")
    if not isinstance(role, str) or role not in ROLES:
        raise BadInput(
            f"{where}: a message's role is {reprlib.repr(role)}; known roles: {', '.join(ROLES)}"
        )
    return _said(ROLES[role], _text(content, "a message's content", where))


def _text(value: Any, what: str, where: str) -> str:
    """Text that can be written as UTF-8; a missing one is empty."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadInput(f"{where}: {what} must be text, not {type(value).__name__}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise BadInput(f"{where}: the text holds half a character (a lone surrogate)") from None
    return value
