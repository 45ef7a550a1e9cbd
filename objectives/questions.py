"""Evaluation items made ready for a model: what is asked, and how an answer is judged.

An item is one of three kinds. `Answer`: one canonical answer, exact match down to the end of turn.
`Choice`: lm-eval's multiple choice and log-likelihood. `Generation`: lm-eval's generate_until.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from lm_eval.models.utils import postprocess_generated_text

from objectives import harness
from objectives.forced import Forced, Request
from objectives.lm import SharedLM
from objectives.rows import Row
from objectives.text import item_sample
from search.errors import BadInput


class Answer:
    """An item with one canonical answer.

    Greedy decoding from the prompt yields exactly the answer if and only if every token of it, its
    end of turn included, is the model's first choice given the tokens before it.
    """

    def __init__(self, item: Row, lm: SharedLM, number: int) -> None:
        sample = item_sample(item, lm.tokenizer, number)
        self.task: str = item["task"]
        self.requests = [Request(sample.ids, max(1, sample.start))]
        self.prompt: str = lm.tokenizer.decode(sample.ids[: sample.start])

    def judge(self, forced: Sequence[Forced]) -> tuple[float | None, float]:
        """(1 right or 0 wrong, loss of the answer)."""
        return float(forced[0].greedy), forced[0].loss

    def loss(self, forced: Sequence[Forced]) -> float:
        """Mean negative log-likelihood per answer token, in nats."""
        return forced[0].loss


class Asked:
    """An item of an lm-eval task."""

    def __init__(self, item: Row, lm: SharedLM, task: Any, leaf: harness.Leaf) -> None:
        own = item["lm_eval"]
        self.task: str = item["task"]
        self.doc: Mapping[str, Any] = own["doc"]
        self.harness, self.leaf = task, leaf
        self.where = f"task {leaf.name}, item {own['doc_id']}"
        try:
            contexts = [
                lm.apply_chat_template(p["messages"], add_generation_prompt=p["generate"])
                for p in own["prompts"]
            ]
        except (TemplateError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise BadInput(
                f"{self.where}: the model's chat template refuses its prompt ({reason})"
            ) from None
        self.prompt: str = contexts[0]
        self.instances = harness.requests(
            task,
            self.doc,
            contexts if task.multiple_input else contexts[0],
            metadata=(leaf.name, own["doc_id"], 1),
            chat_template=lm.apply_chat_template,
        )

    def score(self, responses: Sequence[Any]) -> float:
        """What the task's metric gives, 0 to 1."""
        found = harness.outcome(self.harness, self.doc, responses, self.leaf.filter)
        value = harness.as_score(found.get(self.leaf.metric))
        if value is None:
            raise BadInput(
                f"{self.where}: its metric {self.leaf.metric} gives "
                f"{found.get(self.leaf.metric)!r}, which is not from 0 to 1; mend the task"
            )
        return value


class Choice(Asked):
    """Multiple choice or log-likelihood: all that is needed is teacher forcing."""

    def __init__(self, item: Row, lm: SharedLM, task: Any, leaf: harness.Leaf) -> None:
        super().__init__(item, lm, task, leaf)
        try:
            self.requests = [lm.pair(*instance.args) for instance in self.instances]
        except BadInput as error:
            raise BadInput(f"{self.where}: {error}") from None
        many = leaf.kind == "multiple_choice"
        self.right = harness.right_choice(task, self.doc) if many else 0

    def judge(self, forced: Sequence[Forced]) -> tuple[float | None, float]:
        """(what the metric gives, loss of the right choice)."""
        return self.score([(one.logprob, one.greedy) for one in forced]), self.loss(forced)

    def loss(self, forced: Sequence[Forced]) -> float:
        """Loss of the right choice; of all of them where none is right."""
        if self.right is None:
            return sum(one.loss for one in forced) / len(forced)
        return forced[self.right].loss


class Generation(Asked):
    """An open answer, decoded greedily unless teacher forcing already tells what it would be."""

    def __init__(self, item: Row, lm: SharedLM, task: Any, leaf: harness.Leaf) -> None:
        super().__init__(item, lm, task, leaf)
        self.lm = lm
        self.context: str = self.instances[0].args[0]
        self.gold: str = item["answer"]
        try:
            self.until, self.most = lm.options(self.instances[0].args[1])
            context = lm.context(self.context)[-lm.room(self.most) :]
        except BadInput as error:
            raise BadInput(f"{self.where}: {error}") from None
        answer = lm.after(self.context, self.gold) or lm.after(self.context, "\n")
        answer = answer[: max(1, lm.max_length - len(context) - 1)]
        self.ends = lm.ends(self.until)
        self.expected = (*answer, min(self.ends))
        """Tokens of the right answer and one more: what would the model say after it?"""
        self.requests = [Request((*context, *self.expected), len(context))]
        self.plain = bool(self.gold) and _is_exact_match(task, leaf)
        """Whether only an answer equal to the right one, letter by letter, scores."""

    def loss(self, forced: Sequence[Forced]) -> float:
        """Loss of the right answer, without its end."""
        own = forced[0].logprobs[:-1]
        return -sum(own) / len(own)

    def judge(self, forced: Sequence[Forced]) -> tuple[float | None, float]:
        """(what the metric gives, loss of the right answer); None: it has to be decoded."""
        text = self.foreseen(forced[0])
        return (None if text is None else self.score([text])), self.loss(forced)

    def says_nothing(self, text: str) -> bool:
        """Whether the task's filters find no more in an answer than in an empty one."""
        if self.harness.config.filter_list is None:
            return False
        return all(
            harness.filtered(self.harness, self.doc, text, name)
            == harness.filtered(self.harness, self.doc, "", name)
            for name in harness.filters(self.harness)
        )

    def foreseen(self, forced: Forced) -> str | None:
        """What greedy decoding answers, or an answer that scores the same; None if not known.

        As long as the model follows the right answer, decoding sees what teacher forcing saw; its
        first other choice ends the answer, or leads where teacher forcing cannot follow. Where only
        the right answer scores, that is enough to know: whatever follows, the answer is another.
        """
        right = self.expected[:-1]
        if self.lm.tok_decode(right) != self.gold or not self.ends.isdisjoint(right):
            return None
        followed = next(
            (k for k, token in enumerate(right) if forced.choices[k] != token), len(right)
        )
        tokens = [*right[:followed], forced.choices[followed]]
        ended = forced.choices[followed] in self.ends
        text: str = self.lm.tok_decode(tokens[:-1] if ended else tokens)
        if ended or len(tokens) >= self.most or any(t in text for t in self.until if t):
            if len(tokens) > self.most:
                text = self.lm.tok_decode(tokens[: self.most])
            return str(postprocess_generated_text(text, self.until, None))
        if not self.plain or text.endswith("\ufffd") or self.gold.startswith(text):
            return None
        rest = text[len(self.gold) :] if text.startswith(self.gold) else None
        if rest is not None and any(term.startswith(rest) for term in self.until):
            return None  # a stop may be on its way, which would leave the right answer
        return text


def _is_exact_match(task: Any, leaf: harness.Leaf) -> bool:
    """Whether the metric is plain equality of the whole answer with the right one."""
    config = task.config
    kwargs = task._metric_fn_kwargs.get(leaf.metric, {})  # shown nowhere else
    return (
        leaf.metric == "exact_match"
        and config.filter_list is None
        and config.process_results is None
        and not harness.is_class(task)
        and not task.multiple_target
        and not any(kwargs.values())
    )


Question = Answer | Choice | Generation


def ready(items: Sequence[Row], lm: SharedLM, data: Path) -> list[Question]:
    """Items made ready, in their order.

    Args:
        items: of one items file.
        lm: gives tokens; its weights do not matter.
        data: the run's data folder.
    """
    leaves = harness.kept(data)
    docs = harness.docs_by_task(items)
    tasks = {name: harness.revive(leaves[name], docs[name], data) for name in docs}
    found: list[Question] = []
    for number, item in enumerate(items):
        if "lm_eval" not in item:
            found.append(Answer(item, lm, number))
            continue
        name = item["lm_eval"]["task"]
        kind = Generation if leaves[name].kind == "generate_until" else Choice
        found.append(kind(item, lm, tasks[name], leaves[name]))
    return found
