"""The 2023 challenge's HTTP interface: what may be asked, and what is answered.

Every error is a JSON object {"detail": TEXT}: 400 the model cannot do it, 413 too large, 422 no
sound request, 500 the model failed, 503 the server is ending.
"""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, StringConstraints, field_validator, model_validator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import search
from objectives.generator import Answer, Ask, Generator
from search.batcher import Batcher
from search.errors import BadInput, Interrupted, RecipeSearchError

BODY_BYTES = 16 * 2**20
"""Largest body of a request."""
TEXT = 2_000_000
"""Most characters of a prompt or a text."""
COUNT = 1_000_000
"""Most tokens that can be asked for, or decoded."""
LOOK_S = 0.5
"""Seconds between two looks at whether the client is still there."""

Text = Annotated[str, StringConstraints(max_length=TEXT)]
Stop = Annotated[str, StringConstraints(max_length=1000)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]


class Body(BaseModel):
    """A request: keys that are not known are ignored, null stands for the default."""

    @model_validator(mode="before")
    @classmethod
    def drop_null(cls, values: Any) -> Any:
        """Leave out what is null."""
        if not isinstance(values, dict):
            return values
        return {key: value for key, value in values.items() if value is not None}


class ProcessRequest(Body):
    """Have a prompt answered."""

    prompt: Text
    num_samples: int = 1
    num_return_sequences: int = 1
    """HELM's name for `num_samples`."""
    max_new_tokens: int = Field(default=50, ge=0, le=COUNT)
    """0, with `echo_prompt`: only say how likely the prompt is."""
    top_k: int = Field(default=200, ge=0, le=COUNT)
    """Draw from this many most likely tokens; 0: from all."""
    top_p: float = Field(default=1.0, ge=0, le=1, allow_inf_nan=False)
    """Draw from the fewest of these that have this probability together."""
    temperature: float = Field(default=0.8, ge=0, le=1000, allow_inf_nan=False)
    """Up to 1e-6: take the most likely token."""
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    echo_prompt: bool = False
    top_k_per_token: int = Field(default=1, ge=0, le=1000)
    """How many candidates `top_logprob` lists for each token."""
    stop_sequences: list[Stop] = Field(default=[], max_length=64)
    """The text ends before the first of these; an empty one ends nothing."""

    @field_validator("num_samples", "num_return_sequences")
    @classmethod
    def only_one(cls, count: int) -> int:
        """See that one text is asked for: the response has room for no more."""
        if count != 1:
            raise ValueError(
                f"the response holds one text, not {count}; ask again with another seed for more"
            )
        return count

    def ask(self) -> Ask:
        """As the generator takes it."""
        return Ask(
            prompt=self.prompt,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            seed=self.seed,
            echo=self.echo_prompt,
            candidates=self.top_k_per_token,
            stop=tuple(filter(None, self.stop_sequences)),
        )


class TokenBody(BaseModel):
    """One token of an answer; all their texts together are the answer's."""

    text: str
    logprob: float
    """Before temperature, top_k and top_p; 0 for the first token of an echoed prompt."""
    top_logprob: dict[str, float]


class ProcessResponse(BaseModel):
    """The answer to a prompt."""

    text: str
    tokens: list[TokenBody]
    logprob: float
    """Sum over the tokens."""
    request_time: float
    """Seconds, waiting included."""


class TokenizeRequest(Body):
    """Have a text's tokens told."""

    text: Text
    truncation: bool = True
    max_length: int = Field(default=2048, ge=0, lt=2**31)


class TokenizeResponse(BaseModel):
    """A text's tokens."""

    tokens: list[int]
    request_time: float
    """Seconds."""


class DecodeRequest(Body):
    """Have the text of tokens told."""

    tokens: list[TokenId] = Field(max_length=COUNT)


class DecodeResponse(BaseModel):
    """The text of tokens."""

    text: str
    request_time: float
    """Seconds."""


class Limited:
    """An application that is given no more than BODY_BYTES of a body."""

    def __init__(self, app: ASGIApp) -> None:
        """`app` is what is protected."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request, and count its bytes."""
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > BODY_BYTES:
                raise HTTPException(413, f"the body is larger than {BODY_BYTES} bytes")
            return message

        await self._app(scope, counted, send)


def app(generator: Generator, batcher: Batcher) -> FastAPI:
    """The application.

    Args:
        generator: reads prompts, tokenises and decodes.
        batcher: has the same generator answer; whoever made it closes it.
    """
    made = FastAPI(
        title="Recipe Search",
        version=search.__version__,
        docs_url=None,  # its page would come from somebody else's server
        redoc_url=None,
    )
    made.add_middleware(Limited)
    made.add_exception_handler(RequestValidationError, _invalid)
    made.add_exception_handler(BadInput, _unfit)
    made.add_exception_handler(Exception, _failed)

    @made.get("/")
    def health() -> dict[str, str]:
        """Say that the server is there."""
        return {"status": "ready"}

    @made.post("/process")
    async def process(body: ProcessRequest, request: Request) -> ProcessResponse:
        """Answer a prompt."""
        began = time.perf_counter()
        prompt = await asyncio.to_thread(generator.read, body.ask())
        future = asyncio.wrap_future(batcher.submit(prompt))
        try:
            while not (await asyncio.wait([future], timeout=LOOK_S))[0]:
                if await request.is_disconnected():
                    raise HTTPException(499, "the client has gone")
        finally:
            future.cancel()  # of no effect once it is done
        return _response(_answer(future), time.perf_counter() - began)

    @made.post("/tokenize")
    def tokenize(body: TokenizeRequest) -> TokenizeResponse:
        """Tell a text's tokens, without those that a tokenizer adds at its ends."""
        began = time.perf_counter()
        tokens = generator.tokenize(body.text)
        if body.truncation:
            tokens = tokens[: body.max_length]
        return TokenizeResponse(tokens=tokens, request_time=time.perf_counter() - began)

    @made.post("/decode")
    def decode(body: DecodeRequest) -> DecodeResponse:
        """Tell the text of tokens."""
        began = time.perf_counter()
        text = generator.decode(body.tokens)
        return DecodeResponse(text=text, request_time=time.perf_counter() - began)

    return made


def _answer(future: asyncio.Future[Answer]) -> Answer:
    try:
        return future.result()
    except BadInput:
        raise
    except RecipeSearchError as error:
        code = 503 if isinstance(error, Interrupted) else 500
        raise HTTPException(code, str(error)) from None


def _response(answer: Answer, seconds: float) -> ProcessResponse:
    return ProcessResponse(
        text=answer.text,
        tokens=[
            TokenBody(text=token.text, logprob=token.logprob, top_logprob=token.candidates)
            for token in answer.tokens
        ],
        logprob=answer.logprob,
        request_time=seconds,
    )


def _invalid(request: Request, error: Exception) -> JSONResponse:
    """What is wrong with a request; its own words are not repeated: they may be no JSON."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # it is registered for these
    if "json" not in request.headers.get("content-type", ""):
        told = "body: send a JSON object, and Content-Type: application/json"
        return JSONResponse({"detail": told}, status_code=422)
    told = "; ".join(
        f"{'.'.join(str(part) for part in one['loc'][1:]) or 'body'}: "
        + one["msg"].removeprefix("Value error, ")
        for one in error.errors()[:5]
    )
    return JSONResponse({"detail": told}, status_code=422)


def _unfit(_: Request, error: Exception) -> JSONResponse:
    """What the model cannot do."""
    return JSONResponse({"detail": str(error)}, status_code=400)


def _failed(_: Request, error: Exception) -> JSONResponse:
    """An error of ours; the server lives on."""
    return JSONResponse({"detail": f"internal error ({type(error).__name__})"}, status_code=500)
