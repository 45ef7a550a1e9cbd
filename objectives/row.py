"""One request on its way to an answer."""

from __future__ import annotations

from collections.abc import Sequence

from objectives.generator import Answer, Prompt, Token
from objectives.pieces import Pieces, cut, stop_at
from objectives.sampling import Chooser


class Row:
    """One request on its way."""

    def __init__(self, place: int, prompt: Prompt, pieces: Pieces) -> None:
        """Nothing is said yet; `place` is the prompt's among those given together."""
        self.place, self.prompt = place, prompt
        self.chooser = Chooser(prompt.ask)
        self.done = False
        """Whether the answer is complete, or not wanted any more."""
        self._pieces = pieces
        self._stops = tuple(filter(None, prompt.ask.stop))
        self._tokens: list[Token] = []
        self._text = ""
        self._end: int | None = None

    def take(self, token: int, logprob: float, ranked: Sequence[tuple[int, float]]) -> None:
        """Add a token, with its own logprob and those of the most likely ones."""
        named: dict[str, float] = {}
        for other, value in ranked[: self.prompt.ask.candidates]:
            named.setdefault(self._pieces.name(other), value)
        self._add(Token(text=self._pieces.add(token), logprob=logprob, candidates=named))
        if not self.done and len(self._tokens) == self.prompt.ask.max_new_tokens:
            self.finish()

    def finish(self) -> None:
        """No more tokens come."""
        self.done = True
        if self._tokens and (rest := self._pieces.rest()):
            last = self._tokens.pop()
            self._add(
                Token(text=last.text + rest, logprob=last.logprob, candidates=last.candidates),
                known=len(last.text),
            )

    def _add(self, token: Token, known: int = 0) -> None:
        """Append a token of whose text `known` characters are in the text already."""
        looked = len(self._text)
        self._tokens.append(token)
        self._text += token.text[known:]
        self._end = stop_at(self._text, self._stops, looked)
        self.done = self.done or self._end is not None

    def answer(self, echo: Sequence[Token]) -> Answer:
        """The answer, which begins with the prompt's own tokens if it is to echo them."""
        said = cut(self._tokens, self._end)
        if not self.prompt.ask.echo:
            return said
        return Answer(text=self.prompt.ask.prompt + said.text, tokens=(*echo, *said.tokens))
