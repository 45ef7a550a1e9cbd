"""The zero guard: what the base model's answers look like, before time is spent on training.

A chat template that the model does not know, or a task whose answers it cannot write in the form
asked for, scores zero whatever is trained: that is found in seconds here, instead of after a day.
"""

from __future__ import annotations

from dataclasses import asdict

from objectives.objective import Smoke
from search.budget import Kind
from search.errors import BadInput
from search.report.text import well_formed
from search.state import Job, with_a_new_process

PROMPT_END = 200
"""Characters of the prompt's end that are shown: the question and where the answer begins."""
ANSWER_START = 120


def smoke(job: Job) -> None:
    """Let the base model answer some items of every task, once per job.

    Raises:
        BadInput: every answer to a task is malformed.
        WorkerFailed: the training process failed again and again.
    """
    count = job.study.smoke_items
    if not count or job.store.noted("smoke") is not None:
        return
    job.phase = "smoke"
    found = ask(job, count)
    for task, seen in found.items():
        job.say(escaped(f"smoke: {task}: {well_formed(asdict(seen))}"))
    zero = [task for task, seen in found.items() if seen.items and seen.malformed == seen.items]
    if zero:
        raise BadInput(complaint(zero, found[zero[0]]))
    job.store.note("smoke", {task: asdict(seen) for task, seen in found.items()})


def ask(job: Job, count: int) -> dict[str, Smoke]:
    """The smoke evaluation; a failure of the training process is met by a new process."""

    def once() -> dict[str, Smoke]:
        with job.ledger.span(Kind.LOAD, note="smoke"):
            return job.objective.smoke(count, lambda p: job.listen("base", p))

    return with_a_new_process(job, "smoke", once)


def complaint(tasks: list[str], seen: Smoke) -> str:
    """One line that shows what the model was asked and what it answered."""
    others = f" (so are those of {', '.join(tasks[1:])})" if tasks[1:] else ""
    prompt, answer = escaped(seen.prompt), escaped(seen.answer)
    if len(prompt) > PROMPT_END:
        prompt = "…" + prompt[-PROMPT_END:]
    if len(answer) > ANSWER_START:
        answer = answer[:ANSWER_START] + "…"
    return (
        f"task {tasks[0]}: all {seen.items} answers of the base model are malformed"
        f"{f' ({escaped(seen.why)})' if seen.why else ''}{others}; "
        f"prompt: '{prompt}' answer: '{answer}'; mend the chat template or the task, "
        "or set smoke_items=0 in the study to go on"
    )


def escaped(text: str) -> str:
    """A text on one line, with newlines and the like escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
