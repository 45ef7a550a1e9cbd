"""`python -m search.serve RUN_DIR/recipe`: answer the 2023 challenge's HTTP requests."""

from __future__ import annotations

import argparse
import importlib.util
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search.cli import Parser, guarded
from search.errors import BadInput
from search.signs import printable

if TYPE_CHECKING:
    from objectives.generator import Generator

HOST = "127.0.0.1"
PORT = 8080
NEEDED = ("fastapi", "uvicorn")
GRACE_S = 5
"""Seconds that connections get to end when the server does."""
EPILOG = """\
Endpoints: POST /process, /tokenize, /decode, as in the "1 LLM + 1 GPU + 1 Day" challenge; GET /
says that the server is ready, GET /openapi.json what may be sent. What HELM's client sends is
honoured: stop_sequences, top_p, top_k_per_token, a temperature of 1e-7. A recipe is trained on
conversations, so a prompt is written as one message of a user's, in the chat template that the
recipe was trained in, and the text is the assistant's answer. With --raw, or if there is no
template, the prompt is what the model reads, and the text goes on after it: for clients that write
the template themselves. Either way echo_prompt repeats the prompt as it was sent, and /tokenize is
about plain text. Requests that come while the model is busy are answered together.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = Parser(
        prog="python -m search.serve",
        description="Answer the 2023 LLM Efficiency Challenge's HTTP requests with a recipe.",
        epilog=EPILOG,
    )
    made.add_argument("recipe", type=Path, metavar="RUN_DIR/recipe", help="the recipe folder")
    made.add_argument("--model", metavar="ID|PATH", help="the base model, if it lies elsewhere")
    made.add_argument("--host", default=HOST, help="address to listen at (default %(default)s)")
    made.add_argument("--port", type=_port, default=PORT, help="default %(default)s; 0: a free one")
    made.add_argument(
        "--raw",
        action="store_true",
        help="give prompts to the model as they are, not in its chat template",
    )
    made.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="run code that comes with the base model",
    )
    return made


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:6]) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535")
    return int(text)


def check_installed() -> None:
    """See that the optional packages are there.

    Raises:
        BadInput: one is not.
    """
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        raise BadInput(
            "python -m search.serve needs FastAPI and uvicorn: pip install 'recipe-search[serve]'"
        )


def bind(host: str, port: int) -> socket.socket:
    """Take an address, without listening yet.

    Raises:
        BadInput: there is no such host here, or the port is in use or not for us.
    """
    made = None
    try:
        ((family, kind, protocol, _, address), *_) = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except (OSError, UnicodeError) as error:
        if made is not None:
            made.close()
        reason = getattr(error, "strerror", None) or "no such name"
        raise BadInput(
            f"cannot listen at {host}, port {port} ({reason}); give another --host or --port"
        ) from None
    return made


def address(taken: socket.socket) -> str:
    """The URL of a socket."""
    host, port, *_ = taken.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(generator: Generator, taken: socket.socket, what: str) -> None:
    """Answer requests until the process is told to end; prints a line once it is ready.

    Args:
        generator: answers.
        taken: the socket to listen at; closed afterwards.
        what: is served, in words.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        OSError: somebody else listens there by now.
    """
    import uvicorn  # noqa: PLC0415  # an optional package

    from search.api import app  # noqa: PLC0415  # likewise
    from search.batcher import Batcher  # noqa: PLC0415  # likewise

    batcher = Batcher(generator)

    class Server(uvicorn.Server):
        """Tells when it is ready, and lets the model stop before it waits for connections."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                print(f"serving {what} at {address(taken)} (Ctrl-C ends it)", flush=True)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            batcher.close()
            await super().shutdown(sockets=sockets)

    options = uvicorn.Config(
        app(generator, batcher),
        log_level="error",
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        ws="none",
    )
    try:
        Server(options).run(sockets=[taken])
    finally:
        batcher.close()
        taken.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""

    def work() -> int:
        options = parser().parse_args(arguments)
        check_installed()
        from objectives.base import check  # noqa: PLC0415  # --help must not pay for it
        from search.read_recipe import check_trained_by_us, read_recipe  # noqa: PLC0415  # likewise

        facts = read_recipe(options.recipe)
        check_trained_by_us(facts)
        model = options.model or facts["base"]["id"]
        check(model)
        taken = bind(options.host, options.port)
        from objectives.tuned import load  # noqa: PLC0415  # torch, once all else is sound

        generator = load(
            options.recipe,
            facts,
            model,
            raw=options.raw,
            trust_remote_code=options.trust_remote_code,
            say=lambda line: print(printable(line), flush=True),
        )
        serve(generator, taken, str(options.recipe))
        return 0

    return guarded(work, "stopped")


if __name__ == "__main__":
    sys.exit(main())
