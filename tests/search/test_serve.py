"""The challenge's HTTP interface: real requests to a real server, and requests of any form."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.generator import Ask, Prompt, WordGenerator
from search import api, serve
from search.api import app
from search.batcher import Batcher
from search.errors import BadInput, Interrupted, WorkerFailed
from tests.recipes import WRITTEN, make_recipe

ROOT = Path(__file__).parents[2]
QUESTION = "what is 3 plus 4 ?"
HELM = {
    "temperature": 1e-7,
    "num_return_sequences": 1,
    "max_new_tokens": 8,
    "top_p": 1,
    "echo_prompt": False,
    "top_k_per_token": 1,
    "stop_sequences": ["\n\n"],
}
"""What HELM's client sends with a prompt."""


def started(*arguments: str) -> subprocess.Popen[str]:
    """Start this Python."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # a tiny model's work is not worth sharing out
    )


def ready(process: subprocess.Popen[str]) -> str:
    """Wait until a server is ready; returns its address."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://\S+", line):
            return found[0]
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())


@pytest.fixture(scope="module")
def recipe(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe folder for the tiny model."""
    return make_recipe(tmp_path_factory.mktemp("recipe") / "recipe", tiny_model, scale=4.0)


@pytest.fixture(scope="module")
def server(recipe: Path, tiny_model: Path) -> Iterator[str]:
    """The address of the command at work; Ctrl-C then ends it without a word too many."""
    process = started("-m", "search.serve", str(recipe), "--model", str(tiny_model), "--port", "0")
    yield ready(process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "stopped\n")


@pytest.fixture
def client(server: str) -> Iterator[httpx.Client]:
    """Real HTTP."""
    with httpx.Client(base_url=server, timeout=60) as made:
        yield made


def test_helm_s_request_is_answered(client: httpx.Client) -> None:
    """With the response's keys and types, and nothing else."""
    response = client.post("/process", json={"prompt": QUESTION, **HELM})
    assert response.status_code == 200, response.text
    found = response.json()
    assert set(found) == {"text", "tokens", "logprob", "request_time"}
    assert 0 < len(found["tokens"]) <= 8
    assert "".join(token["text"] for token in found["tokens"]) == found["text"]
    assert sum(token["logprob"] for token in found["tokens"]) == pytest.approx(found["logprob"])
    for token in found["tokens"]:
        assert set(token) == {"text", "logprob", "top_logprob"}
        assert list(token["top_logprob"].values()) == [token["logprob"]]
    assert found["request_time"] > 0
    assert (
        client.post("/process", json={"prompt": QUESTION, **HELM}).json()["text"] == found["text"]
    )


def test_stop_sequences_end_the_text(client: httpx.Client) -> None:
    """Before the first of them, which may span tokens."""
    whole = client.post("/process", json={"prompt": QUESTION, **HELM}).json()["text"]
    stop = whole[3:8]
    body = {"prompt": QUESTION, **HELM, "stop_sequences": ["never", stop]}
    found = client.post("/process", json=body).json()
    assert found["text"] == whole[: whole.index(stop)]
    assert "".join(token["text"] for token in found["tokens"]) == found["text"]


def test_the_prompt_is_echoed_as_it_was_sent(client: httpx.Client) -> None:
    """Without the template around it, and with a logprob of 0 for its first token."""
    body = {"prompt": QUESTION, **HELM, "echo_prompt": True}
    found = client.post("/process", json=body).json()
    assert found["text"].startswith(QUESTION)
    assert found["tokens"][0] == {"text": "what", "logprob": 0.0, "top_logprob": {}}
    assert all(token["logprob"] < 0 for token in found["tokens"][1:])


def test_text_to_tokens_and_back(client: httpx.Client) -> None:
    """Plain text, as many tokens as asked for."""
    found = client.post("/tokenize", json={"text": "3 plus 4"}).json()
    assert set(found) == {"tokens", "request_time"}
    assert client.post("/decode", json={"tokens": found["tokens"]}).json()["text"] == "3 plus 4"
    body = {"text": "3 plus 4", "max_length": 2}
    assert client.post("/tokenize", json=body).json()["tokens"] == found["tokens"][:2]
    body |= {"truncation": False}
    assert client.post("/tokenize", json=body).json()["tokens"] == found["tokens"]


@pytest.mark.parametrize(
    ("path", "body", "code", "says"),
    [
        ("/process", {}, 422, "prompt: Field required"),
        ("/process", {"prompt": None}, 422, "prompt: Field required"),
        ("/process", {"prompt": "3", "num_samples": 2}, 422, "num_samples: the response holds one"),
        ("/process", {"prompt": "3", "num_return_sequences": 0}, 422, "num_return_sequences"),
        ("/process", {"prompt": "3", "temperature": -1}, 422, "temperature"),
        ("/process", {"prompt": "3", "seed": -1}, 422, "seed"),
        ("/process", {"prompt": "3", "top_p": 1.5}, 422, "top_p"),
        ("/process", {"prompt": "3", "stop_sequences": "x"}, 422, "stop_sequences"),
        ("/process", {"prompt": "3", "max_new_tokens": 10**30}, 422, "max_new_tokens"),
        ("/process", {"prompt": "3 " * 300}, 400, "context is 256: send a prompt of at most 206"),
        ("/process", {"prompt": "3", "max_new_tokens": 256}, 400, "room for 256 tokens"),
        ("/process", [1], 422, "body: "),
        ("/decode", {"tokens": [51]}, 400, "token 51 is outside of the vocabulary"),
        ("/decode", {"tokens": [-1]}, 422, "tokens.0"),
        ("/tokenize", {"text": "3", "max_length": -1}, 422, "max_length"),
        ("/tokenise", {"text": "3"}, 404, "Not Found"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(
    client: httpx.Client, path: str, body: object, code: int, says: str
) -> None:
    """A 4xx and JSON."""
    response = client.post(path, json=body)
    assert response.status_code == code
    assert says in response.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"prompt": NaN}',
        b'{"prompt": "3", "temperature": NaN}',
        b'{"prompt": "3", "top_p": -Infinity}',
        b'{"prompt": "3", "seed": ' + b"9" * 5000 + b"}",
        b'{"prompt": "\\ud800"}',
        b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"prompt": "' + b"3 " * 1_100_000 + b'"}',
        b'{"prompt": "' + b"3 " * 9_000_000 + b'"}',
    ],
    ids=range(11),
)
def test_a_body_that_is_no_request_is_refused(client: httpx.Client, body: bytes) -> None:
    """Broken, too deep, too large, not even text: a reason in JSON, and the server lives on."""
    headers = {"content-type": "application/json"}
    response = client.post("/process", content=body, headers=headers)
    assert 400 <= response.status_code < 500
    assert response.json()["detail"]
    response = client.post("/process", content=body)
    assert "Content-Type" in response.json()["detail"] or response.status_code == 413
    assert client.get("/").json() == {"status": "ready"}


def test_unknown_keys_and_nulls_are_taken(client: httpx.Client) -> None:
    """Clients differ."""
    body = {"prompt": QUESTION, **HELM}
    plain = client.post("/process", json=body).json()
    nulls = dict.fromkeys(("seed", "top_k", "num_samples", "echo_prompt"))
    more = client.post("/process", json=body | nulls | {"engine": "x", "best_of": {"a": [1]}})
    assert more.json()["text"] == plain["text"]


def test_64_requests_at_once_lose_none(server: str) -> None:
    """Each gets the answer that it gets alone."""
    bodies = [
        {"prompt": f"what is {k % 40} plus {k % 7} ?", "max_new_tokens": 1 + k % 9, "seed": k}
        | ({"temperature": 1e-7} if k % 2 else {"stop_sequences": ["2"]})
        for k in range(64)
    ]
    with httpx.Client(base_url=server, timeout=60, limits=httpx.Limits(max_connections=64)) as many:

        def text(body: dict[str, Any]) -> str:
            response = many.post("/process", json=body)
            assert response.status_code == 200, response.text
            found: str = response.json()["text"]
            return found

        with ThreadPoolExecutor(64) as pool:
            together = list(pool.map(text, bodies))
        for k in range(0, 64, 7):
            assert together[k] == text(bodies[k])
    assert len(set(together)) > 30


def test_it_listens_to_this_machine_alone(server: str) -> None:
    """Unless told otherwise."""
    assert server.startswith("http://127.0.0.1:")
    assert serve.parser().parse_args(["x"]).host == "127.0.0.1"
    assert not serve.parser().parse_args(["x"]).trust_remote_code


def test_a_port_in_use_is_told_before_anything_is_loaded(
    server: str,
    recipe: Path,
    tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
    unloaded: None,
) -> None:
    """One line, exit code 2."""
    port = server.rpartition(":")[2]
    assert serve.main([str(recipe), "--model", str(tiny_model), "--port", port]) == 2
    assert f"port {port} (Address already in use)" in one_line(capsys)


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model may be loaded."""
    monkeypatch.setitem(sys.modules, "objectives.tuned", None)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed on stderr: one line."""
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1, error
    return error


def test_bad_command_lines_exit_2_before_anything_is_loaded(
    recipe: Path,
    tiny_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    unloaded: None,
) -> None:
    """One line each, which says what is wrong."""
    (tmp_path / "bare").mkdir()
    good = [str(recipe), "--model", str(tiny_model)]
    lines = [
        ([], "RUN_DIR/recipe"),
        ([str(tmp_path / "none")], "recipe.json"),
        ([str(tmp_path)], "recipe.json"),
        ([str(recipe)], "--model tiny: no such folder"),
        ([str(recipe), "--model", str(tmp_path / "bare")], "no config.json"),
        ([*good, "--port", "x"], "'x' is no port"),
        ([*good, "--port", "-1"], "--port"),
        ([*good, "--port", "65536"], "'65536' is no port"),
        ([*good, "--port", "9" * 5000], "is no port"),
        ([*good, "--host", "no.such.host.invalid"], "cannot listen at no.such.host.invalid"),
        ([*good, "--host", "a" * 300], "cannot listen"),
        ([*good, "--host", "192.0.2.1"], "cannot listen at 192.0.2.1"),
        ([*good, "--chat"], "--chat"),
        ([*good, "stray"], "stray"),
    ]
    for words, says in lines:
        assert serve.main(words) == 2, words
        assert says in one_line(capsys), words


def test_a_missing_package_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to install."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name)
    )
    assert serve.main([str(WRITTEN)]) == 2
    assert one_line(capsys) == (
        "error: python -m search.serve needs FastAPI and uvicorn: "
        "pip install 'recipe-search[serve]'\n"
    )


def test_neither_help_nor_the_application_imports_torch() -> None:
    """--help answers at once; the model is handed to the application."""
    code = "import search.api, search.batcher, search.serve, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "False\n", done.stderr


def asked(
    generator: WordGenerator, bodies: Sequence[tuple[str, bytes]]
) -> list[tuple[int, dict[str, Any]]]:
    """Send bodies to the application one after the other: status and content of each answer."""
    batcher = Batcher(generator)

    async def send() -> list[tuple[int, dict[str, Any]]]:
        transport = httpx.ASGITransport(app(generator, batcher), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            headers = {"content-type": "application/json"}
            found = []
            for path, body in bodies:
                response = await client.post(path, content=body, headers=headers)
                found.append((response.status_code, response.json()))
            return found

    try:
        return asyncio.run(send())
    finally:
        batcher.close()


FIELDS = sorted(
    {*api.ProcessRequest.model_fields, *api.TokenizeRequest.model_fields, "tokens", "x"}
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-1, 300)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["\ud800", "a b", "", 2**63, 1e308, -0.0]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
GOOD = st.fixed_dictionaries({}, optional={"prompt": st.just("a b"), "text": st.just("a b")})
BODIES = st.builds(
    lambda values, good: json.dumps(values | good).encode(),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4),
    GOOD,
) | VALUES.map(lambda value: json.dumps(value).encode())


@settings(max_examples=100, deadline=None)
@given(
    bodies=st.lists(
        st.tuples(
            st.sampled_from(["/process", "/tokenize", "/decode"]),
            BODIES | st.binary(max_size=20),
        ),
        min_size=5,
        max_size=10,
    )
)
def test_any_body_is_answered_or_refused(bodies: list[tuple[str, bytes]]) -> None:
    """200 or 4xx, JSON in any case."""
    for code, content in asked(WordGenerator(), bodies):
        assert code == 200 or (400 <= code < 500 and isinstance(content["detail"], str))


def test_an_error_of_the_model_is_a_500_and_the_server_lives_on() -> None:
    """Its batch alone is lost, and says why."""

    def fail(prompts: Sequence[Prompt]) -> None:
        if prompts[0].ask.prompt == "bad":
            raise ZeroDivisionError("by\nzero")
        if prompts[0].ask.prompt == "worse":
            raise WorkerFailed("out of numbers")

    words = [{"prompt": word} for word in ("good", "bad", "worse", "good")]
    found = asked(WordGenerator(fail), [("/process", json.dumps(w).encode()) for w in words])
    assert [code for code, _ in found] == [200, 500, 500, 200]
    assert found[1][1] == {"detail": "ZeroDivisionError: by zero"}
    assert found[2][1] == {"detail": "out of numbers"}
    assert found[3][1]["text"] == "good"


def test_an_error_of_ours_is_json_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is."""
    generator = WordGenerator()
    monkeypatch.setattr(generator, "tokenize", lambda _: 1 / 0)
    for path, body in (("/tokenize", b'{"text": "a"}'), ("/process", b'{"prompt": "a"}')):
        told = {"detail": "internal error (ZeroDivisionError)"}
        assert asked(generator, [(path, body)]) == [(500, told)]


SLOW = """
import sys, time
from objectives.generator import WordGenerator
from search import cli, serve

def slow(prompts):
    print("busy", flush=True)
    time.sleep(1)

taken = serve.bind("127.0.0.1", 0)
sys.exit(cli.guarded(lambda: serve.serve(WordGenerator(slow), taken, "words") or 0, "stopped"))
"""


def test_ctrl_c_tells_those_who_wait() -> None:
    """What is under way ends, its client is told, and the command says one line."""
    process = started("-c", SLOW)
    url = ready(process)
    assert process.stdout is not None
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(httpx.post, f"{url}/process", json={"prompt": "3"}, timeout=60)
        assert process.stdout.readline() == "busy\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert waits.result().json() == {"detail": "the server is ending"}
    assert (process.returncode, errors) == (130, "stopped\n")


def test_requests_that_wait_are_answered_together() -> None:
    """While a batch is under way the next one fills; what nobody wants any more is left out."""
    busy, free = threading.Event(), threading.Event()

    def hold(_: Sequence[Prompt]) -> None:
        busy.set()
        free.wait(10)

    generator = WordGenerator(hold)
    batcher = Batcher(generator)
    first = batcher.submit(generator.read(Ask(prompt="first")))
    assert busy.wait(10)
    rest = [batcher.submit(generator.read(Ask(prompt=f"word{k}"))) for k in range(70)]
    rest[3].cancel()
    free.set()
    assert first.result(10).text == "first"
    assert [f.result(10).text for k, f in enumerate(rest) if k != 3] == [
        f"word{k}" for k in range(70) if k != 3
    ]
    batcher.close()
    assert generator.batches == [1, 63, 6]


def test_a_closed_batcher_answers_nobody() -> None:
    """Neither who waits nor who comes."""
    busy, free = threading.Event(), threading.Event()

    def hold(_: Sequence[Prompt]) -> None:
        busy.set()
        free.wait(10)

    generator = WordGenerator(hold)
    batcher = Batcher(generator)
    prompt = generator.read(Ask(prompt="a"))
    under_way = batcher.submit(prompt)
    assert busy.wait(10)
    waiting = batcher.submit(prompt)
    batcher.close()
    batcher.close()
    free.set()
    for future in (under_way, waiting, batcher.submit(prompt)):
        with pytest.raises(Interrupted, match="is ending"):
            future.result(10)


@contextlib.contextmanager
def listening(generator: WordGenerator) -> Iterator[str]:
    """A real server, in this process."""
    batcher = Batcher(generator)
    taken = serve.bind("127.0.0.1", 0)
    options = uvicorn.Config(app(generator, batcher), log_level="error", ws="none")
    made = uvicorn.Server(options)
    thread = threading.Thread(target=made.run, kwargs={"sockets": [taken]})
    thread.start()
    try:
        while not made.started:
            time.sleep(0.01)
        yield serve.address(taken)
    finally:
        made.should_exit = True
        thread.join(10)
        batcher.close()
        taken.close()


def test_a_client_that_goes_away_hurts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its request is dropped, the others of its batch are answered."""
    monkeypatch.setattr(api, "LOOK_S", 0.02)
    busy, free = threading.Event(), threading.Event()

    def hold(prompts: Sequence[Prompt]) -> None:
        if prompts[0].ask.prompt == "first":
            busy.set()
            free.wait(10)

    generator = WordGenerator(hold)
    with listening(generator) as url, ThreadPoolExecutor(4) as pool:

        def post(word: str) -> httpx.Response:
            return httpx.post(f"{url}/process", json={"prompt": word}, timeout=30)

        first = pool.submit(post, "first")
        assert busy.wait(10)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/process", json={"prompt": "gone"}, timeout=0.3)
        stays = pool.submit(post, "stays")
        time.sleep(0.3)
        free.set()
        assert first.result(10).json()["text"] == "first"
        assert stays.result(10).json()["text"] == "stays"
    assert generator.batches == [1, 1]


def test_addresses() -> None:
    """Of both families; a taken port is refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BadInput, match="in use"):
            serve.bind("127.0.0.1", taken.getsockname()[1])
    with socket.socket(socket.AF_INET6) as six, contextlib.suppress(OSError):
        six.bind(("::1", 0))
        assert serve.address(six).startswith("http://[::1]:")
