"""The form of the 2023 challenge "1 LLM + 1 GPU + 1 Day": two images, nothing secret, no weights.

`Dockerfile` answers the challenge's HTTP requests; `train/Dockerfile` trains the recipe again from
the base model. Both install the same pinned packages and bring the source of this tool. The adapter
is fetched when the image that serves it is built.
"""

from __future__ import annotations

import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import objectives
import search
import spaces
import studies
from search.errors import BadInput
from search.export.source import Source, Unsuitable
from search.read_recipe import own_code

TOOL = "recipe-search"
ROOMS = (search, objectives, spaces, studies)
EXTRAS = {"", "gpu", "serve"}
"""Of this tool's requirements, those that training and serving need."""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""Of both images: the one that the pinned versions were installed for."""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
IMAGE = """\
FROM python:{python}-slim
WORKDIR /entry
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY tool tool
COPY recipe recipe
ENV PYTHONPATH=/entry/tool PYTHONUNBUFFERED=1
"""
SERVE = f"""\
# Answers POST /process, /tokenize and /decode on port 80.
#   docker build --build-arg ADAPTER=YOUR_NAME/YOUR_REPOSITORY -t entry .
#   docker run --gpus all -p 8080:80 entry
# ADAPTER is the Hugging Face repository that recipe/adapter was uploaded to: weights do not belong
# into a submission. {{base}}
{IMAGE}ARG ADAPTER
RUN test -n "$ADAPTER" \\
 && hf download "$ADAPTER" adapter_model.safetensors --local-dir recipe/adapter \\
 && python -c "import sys; from objectives.base import resolve; resolve(sys.argv[1])" {{base_id}}
EXPOSE 80
CMD ["python", "-m", "search.serve", "recipe", "--host", "0.0.0.0", "--port", "80"]
"""
TRAIN = f"""\
# Trains the recipe again from the base model and compares its score with the recorded one.
# Build it in the folder above, which holds requirements.txt, tool and recipe:
#   docker build -f train/Dockerfile -t train .
#   docker run --gpus all -v "$PWD/again:/again" train
# {{base}}
{IMAGE}CMD ["python", "-m", "search.reproduce", "recipe", "--out", "/again"{{trust}}]
"""


def write(source: Source, target: Path) -> None:
    """Write both Dockerfiles, requirements.txt, the tool and the recipe without its weights.

    Raises:
        Unsuitable: the base has no name on the hub that an image could fetch it by.
        BadInput: this tool is not installed, so that nothing says what it needs.
    """
    base = source.facts["base"]
    if not HUB_ID.fullmatch(base["id"]) or base["origin"] == "local folder":
        raise Unsuitable(
            f"challenge: the base model {base['id']!r} is not on the Hugging Face hub, where an "
            "image could fetch it"
        )
    revision = re.sub(r"[^\w:.-]", "?", base["revision"])
    trusted = (source.folder / "data" / "tasks").is_dir() or own_code(source.folder)
    words = {
        "trust": ', "--trust-remote-code"' if trusted else "",
        "python": PYTHON,
        "base_id": base["id"],
        "base": f"The base model is {base['id']}, revision {revision}.",
    }
    (target / "train").mkdir(parents=True, exist_ok=True)
    (target / "Dockerfile").write_text(SERVE.format(**words), encoding="utf-8")
    (target / "train" / "Dockerfile").write_text(TRAIN.format(**words), encoding="utf-8")
    pins = "".join(f"{name}=={version}\n" for name, version in sorted(pinned(TOOL).items()))
    (target / "requirements.txt").write_text(pins, encoding="utf-8")
    (target / ".dockerignore").write_text("**/__pycache__\n**/*.safetensors\n", encoding="utf-8")
    no_cache = shutil.ignore_patterns("__pycache__")
    for room in ROOMS:
        home = Path(str(room.__file__)).parent
        shutil.copytree(home, target / "tool" / home.name, ignore=no_cache, dirs_exist_ok=True)
    for part in ("adapter", "data"):
        no_weights = shutil.ignore_patterns("*.safetensors", "__pycache__")
        shutil.copytree(
            source.folder / part, target / "recipe" / part, ignore=no_weights, dirs_exist_ok=True
        )
    for file in ("recipe.json", "sha256"):
        shutil.copyfile(source.folder / file, target / "recipe" / file)


def pinned(name: str, extras: frozenset[str] = frozenset(EXTRAS)) -> dict[str, str]:
    """The installed versions of a package's requirements, and of theirs, all the way down.

    Build tags such as +cpu are left out: another machine has other builds of the same version.
    """
    found: dict[str, str] = {}
    left = [(name, extras)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while left:
        package, wanted = left.pop()
        if (package, wanted) in seen:
            continue
        seen.add((package, wanted))
        try:
            about = metadata.distribution(package)
        except metadata.PackageNotFoundError:
            if package == name:
                raise BadInput(f"{name} is not installed: pip install it, then export") from None
            continue  # an extra that this machine does without
        if package != name:
            found[package] = re.sub(r"\+.*", "", about.version)
        for line in about.requires or ():
            needed = Requirement(line)
            if any(
                needed.marker is None or needed.marker.evaluate({"extra": extra})
                for extra in wanted | {""}
            ):
                left.append((canonicalize_name(needed.name), frozenset(needed.extras)))
    return found
