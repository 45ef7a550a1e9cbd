"""Early evaluation and all others: scores of a model, item by item, and the smoke test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from objectives.forced import Forced, Layout
from objectives.lm import SharedLM
from objectives.objective import Listener, Progress, Scores, Smoke, TaskScore
from objectives.quantize import Device
from objectives.questions import Choice, Generation, Question, ready
from objectives.rows import iterate_jsonl

SMOKE_TOKENS = 12
"""Tokens of an answer that a smoke test looks at."""
SMOKE_FILTERED = 48
"""The same where a task's filters have to find something in the answer."""


def take(tasks: Sequence[str], part: tuple[int, int] | None) -> list[int]:
    """Indices of items whose place among those of their task lies in `part` (first, end).

    Args:
        tasks: each item's task.
        part: None takes all.
    """
    if part is None:
        return list(range(len(tasks)))
    seen: dict[str, int] = {}
    taken = []
    for index, task in enumerate(tasks):
        place = seen[task] = seen.get(task, -1) + 1
        if part[0] <= place < part[1]:
            taken.append(index)
    return taken


class Evaluator:
    """All items of a job, ready to be asked of any model of the same architecture."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        data: Path,
        device: Device,
        *,
        whole_head: bool,
        share: bool,
    ) -> None:
        """Read the items files.

        Args:
            model: the base model: its architecture and tokenizer decide how items are tokenised.
            tokenizer: its tokenizer, with a chat template.
            data: the run's data folder.
            device: what to compute on.
            whole_head: see `objectives.forced.force`.
            share: likewise.

        Raises:
            BadInput: an item cannot be asked.
        """
        self.lm = SharedLM(
            model, tokenizer, device, whole_head=whole_head, share=share, exact=False
        )
        self.items = {
            file.stem: ready(list(iterate_jsonl(file)), self.lm, data)
            for file in sorted((data / "items").glob("*.jsonl"))
        }
        self.lm.forget()
        self.device = device
        self._laid_out: dict[tuple[str, tuple[int, int] | None], Layout] = {}

    def score(
        self,
        model: Any,
        items: str,
        listener: Listener,
        *,
        exact: bool,
        part: tuple[int, int] | None = None,
    ) -> Scores:
        """Outcome and loss of every item.

        Args:
            model: a causal language model of transformers, with or without an adapter.
            items: name of an items file.
            listener: told how far it is.
            exact: compute in the base's stored precision, so that others get the same answers.
            part: only these items of each task, by place.

        Returns:
            For each task, its items' outcomes in the order of the file.
        """
        everything = self.items[items]
        chosen = [everything[i] for i in take([q.task for q in everything], part)]
        outcomes: dict[int, tuple[float, float]] = {}
        open_ones = {k: q for k, q in enumerate(chosen) if isinstance(q, Generation)}
        split = 1 - 0.7 * len(open_ones) / max(1, len(chosen))
        """Share of the time that teacher forcing takes, by a rough guess, for the listener."""

        def tell(done: float) -> None:
            listener(Progress(phase="evaluate", done=split * done))

        self.lm.use(model, exact=exact, tell=tell)
        spared = self.lm.simple
        forced = {k: q for k, q in enumerate(chosen) if not (spared and k in open_ones)}
        if (items, part) not in self._laid_out:
            self._laid_out[items, part] = self._layout(list(forced.values()))
        layout = self._laid_out[items, part]
        with self.device.steady(model, exact=exact):
            for k, own in zip(forced, self._force(list(forced.values()), layout), strict=True):
                outcome, loss = chosen[k].judge(own)
                outcomes[k] = (math.nan if outcome is None else outcome, loss)
            self._decode(open_ones, outcomes, listener, split)
        tasks: dict[str, list[int]] = {}
        for k, question in enumerate(chosen):
            tasks.setdefault(question.task, []).append(k)
        return {
            task: TaskScore(
                correct=[outcomes[k][0] for k in members], losses=[outcomes[k][1] for k in members]
            )
            for task, members in tasks.items()
        }

    def _force(self, questions: Sequence[Question], layout: Layout) -> list[list[Forced]]:
        found = iter(self.lm.forced(layout))
        return [[next(found) for _ in question.requests] for question in questions]

    def _layout(self, questions: Sequence[Question]) -> Layout:
        return self.lm.layout([r for question in questions for r in question.requests])

    def _decode(
        self,
        questions: dict[int, Generation],
        outcomes: dict[int, tuple[float, float]],
        listener: Listener,
        start: float,
    ) -> None:
        """Fill in outcome and loss of open questions, decoding those that have to be."""
        groups: dict[tuple[tuple[str, ...], int], list[int]] = {}
        for k, question in questions.items():
            if k not in outcomes or math.isnan(outcomes[k][0]):
                groups.setdefault((tuple(question.until), question.most), []).append(k)
        waiting = sum(map(len, groups.values()))
        done = 0
        for (until, most), members in groups.items():

            def tell(part: float, first: int = done, size: int = len(members)) -> None:
                share = (first + part * size) / waiting
                listener(Progress(phase="evaluate", done=start + (1 - start) * share))

            def known(place: int, forced: Forced, of: list[int] = members) -> bool:
                outcome, loss = questions[of[place]].judge([forced])
                outcomes[of[place]] = (math.nan if outcome is None else outcome, loss)
                return outcome is not None

            self.lm.tell = tell
            answers = self.lm.answer(
                [questions[k].context for k in members],
                list(until),
                most,
                expected=[questions[k].expected for k in members],
                known=known,
            )
            for k, text in zip(members, answers, strict=True):
                if math.isnan(outcomes[k][0]):
                    outcomes[k] = (questions[k].score([text]), outcomes[k][1])
            done += len(members)

    def smoke(self, model: Any, count: int, listener: Listener) -> dict[str, Smoke]:
        """Let the base model answer the first `count` search and held-out items of every task.

        Only the form of the answers is looked at; whether they are right is not.
        """
        chosen: list[Question] = []
        for file in ("search", "heldout"):
            questions = self.items.get(file, [])
            chosen += [questions[i] for i in take([q.task for q in questions], (0, count))]
        self.lm.use(model, exact=False, tell=lambda d: listener(Progress(phase="evaluate", done=d)))
        with self.device.steady(model, exact=False):
            looks = self._looks(chosen)
        found: dict[str, Smoke] = {}
        for task in dict.fromkeys(q.task for q in chosen):
            own = [k for k, question in enumerate(chosen) if question.task == task]
            bad = [k for k in own if looks[k][1]]
            shown = (bad or own)[0]
            found[task] = Smoke(
                items=len(own),
                malformed=len(bad),
                prompt=chosen[shown].prompt,
                answer=looks[shown][0],
                why=looks[shown][1],
            )
        return found

    def _looks(self, questions: Sequence[Question]) -> list[tuple[str, str]]:
        """(answer, what is malformed about it or "") of each question."""
        looks: dict[int, tuple[str, str]] = {}
        choices = {k: q for k, q in enumerate(questions) if isinstance(q, Choice)}
        asked = list(choices.values())
        found = self._force(asked, self._layout(asked))
        for (k, choice), forced in zip(choices.items(), found, strict=True):
            values = [one.logprob for one in forced]
            best = choice.instances[values.index(max(values))].args[1]
            looks[k] = (best, _bad_values(values))
        groups: dict[tuple[tuple[str, ...], int], list[int]] = {}
        for k, question in enumerate(questions):
            if isinstance(question, Generation):
                filters = question.harness.config.filter_list
                most = SMOKE_FILTERED if filters else SMOKE_TOKENS
                kind = (tuple(question.until), min(most, question.most))
                groups.setdefault(kind, []).append(k)
            elif not isinstance(question, Choice):
                groups.setdefault(((), SMOKE_TOKENS), []).append(k)
        for (until, most), members in groups.items():
            texts = self.lm.answer([questions[k].prompt for k in members], list(until), most)
            for k, text in zip(members, texts, strict=True):
                looks[k] = (text, _bad_text(text) or self._unfiltered(questions[k], text, most))
        return [looks[k] for k in range(len(questions))]

    def _unfiltered(self, question: Question, text: str, most: int) -> str:
        """What is wrong with a complete answer in which a task's filters find nothing."""
        if not isinstance(question, Generation) or not question.says_nothing(text):
            return ""
        if most < question.most and len(self.lm.after(question.context, text)) >= most - 1:
            return ""  # cut short by the smoke test: what they look for may have been to come
        return "the task's filters find nothing in it"


def _bad_values(values: Sequence[float]) -> str:
    if not all(math.isfinite(value) for value in values):
        return "its log-likelihoods are not numbers"
    if len(values) > 1 and len(set(values)) == 1:
        return "all choices have the same log-likelihood"
    return ""


def _bad_text(text: str) -> str:
    if not text.strip():
        return "it is empty"
    if not any(char.isprintable() and not char.isspace() and char != "\ufffd" for char in text):
        return "it holds nothing that can be read"
    return ""
