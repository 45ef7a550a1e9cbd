"""What the HTTP interface asks of a model, and a stand-in without one. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from search.errors import BadInput

GREEDY = 1e-6
"""Temperatures up to this one mean the first choice: HELM's client sends 1e-7 for 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One request for text."""

    prompt: str
    max_new_tokens: int = 50
    temperature: float = 0.8
    """Divides the logits; up to GREEDY it means the first choice."""
    top_k: int = 200
    """Draw from this many most likely tokens; 0: from all."""
    top_p: float = 1.0
    """Draw from the fewest of these whose probabilities sum up to this."""
    seed: int | None = None
    """The same seed draws the same text again; None: another one every time."""
    echo: bool = False
    """Whether the text begins with the prompt."""
    candidates: int = 1
    """Most likely tokens to report for each token."""
    stop: tuple[str, ...] = ()
    """The text ends before the first of these."""

    @property
    def greedy(self) -> bool:
        """Whether nothing is drawn."""
        return self.temperature <= GREEDY


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """A request as the model reads it."""

    ask: Ask
    ids: tuple[int, ...]
    """Token ids, none empty."""
    echoed: tuple[tuple[int, str], ...] = ()
    """The tokens that are the sent prompt's: place in `ids`, and text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """One token of an answer."""

    text: str
    """What the token adds to the text: nothing while a character is incomplete."""
    logprob: float
    """Natural logarithm of its probability, before temperature, top_k and top_p."""
    candidates: dict[str, float] = field(default_factory=dict)
    """The most likely tokens in its place: text -> logprob."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a model makes of a request; the tokens' texts make up the text."""

    text: str
    tokens: tuple[Token, ...]

    @property
    def logprob(self) -> float:
        """Sum over the tokens."""
        return sum(token.logprob for token in self.tokens)


Tell = Callable[[int, Answer], None]
"""Told (place of a prompt, its answer) as soon as that is complete."""
Wanted = Callable[[int], bool]
"""Whether the answer to the prompt at a place is still waited for."""


class Generator(Protocol):
    """A model that answers. `answer` is called by one thread, the others by any."""

    def read(self, ask: Ask) -> Prompt:
        """Turn a request into tokens.

        Raises:
            BadInput: too long for the model, or nothing that it can begin with.
        """

    def tokenize(self, text: str) -> list[int]:
        """Token ids of plain text, without a beginning or an end of the tokenizer's own."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids.

        Raises:
            BadInput: an id is outside of the vocabulary.
        """

    def answer(self, prompts: Sequence[Prompt], tell: Tell, wanted: Wanted) -> None:
        """Answer prompts together; those that are no longer wanted need not be told."""


class WordGenerator:
    """Answers with the prompt's own words, each its own token: for tests of what is around it."""

    CONTEXT = 2048
    """Words of prompt and answer."""

    def __init__(self, fail: Callable[[Sequence[Prompt]], None] = lambda _: None) -> None:
        """`fail` is called before prompts are answered, and may raise."""
        self.fail = fail
        self.words: list[str] = []
        """The vocabulary, as it was met."""
        self.batches: list[int] = []
        """How many prompts were answered together."""

    def read(self, ask: Ask) -> Prompt:
        """See `Generator.read`."""
        ids = tuple(self.tokenize(ask.prompt))
        if not ids:
            raise BadInput("the prompt is empty")
        if len(ids) + ask.max_new_tokens > self.CONTEXT:
            raise BadInput(too_long(len(ids), ask.max_new_tokens, self.CONTEXT))
        return Prompt(ask=ask, ids=ids)

    def tokenize(self, text: str) -> list[int]:
        """See `Generator.tokenize`."""
        self.words += [word for word in dict.fromkeys(text.split()) if word not in self.words]
        return [self.words.index(word) for word in text.split()]

    def decode(self, tokens: Sequence[int]) -> str:
        """See `Generator.decode`."""
        check_ids(tokens, len(self.words))
        return " ".join(self.words[token] for token in tokens)

    def answer(self, prompts: Sequence[Prompt], tell: Tell, wanted: Wanted) -> None:
        """See `Generator.answer`."""
        self.batches.append(len(prompts))
        self.fail(prompts)
        for place, prompt in enumerate(prompts):
            words = self.decode(prompt.ids).split()[: prompt.ask.max_new_tokens]
            tokens = tuple(
                Token(text=word, logprob=-1.0, candidates={word: -1.0}) for word in words
            )
            if wanted(place):
                tell(place, Answer(text="".join(words), tokens=tokens))


def too_long(length: int, new: int, context: int) -> str:
    """Why a prompt is refused: `length` tokens and `new` more do not fit into `context`."""
    if new >= context:
        return f"max_new_tokens is {new}, the model's context has room for {context} tokens in all"
    return (
        f"the prompt has {length} tokens and max_new_tokens is {new}, but the model's context is "
        f"{context}: send a prompt of at most {context - new} tokens, or ask for fewer new ones"
    )


def check_ids(tokens: Sequence[int], vocabulary: int) -> None:
    """See that all ids are tokens.

    Raises:
        BadInput: one is none.
    """
    for token in tokens:
        if not 0 <= token < vocabulary:
            raise BadInput(
                f"token {token} is outside of the vocabulary: ids are 0 to {vocabulary - 1}"
            )
