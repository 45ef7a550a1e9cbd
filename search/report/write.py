"""Writing report/ from a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.folder import RunFolder
    from search.store import Store


def get_ready() -> None:
    """Import what a report needs, which takes a second or two, while there is nothing to do."""
    import search.report.html  # noqa: PLC0415  # --help must not pay for matplotlib
    import search.report.pictures  # noqa: F401, PLC0415  # likewise
    from search.report.embed import library  # noqa: PLC0415  # likewise

    library()


def write_report(folder: RunFolder, store: Store, summary: Mapping[str, Any]) -> None:
    """Write report/index.html and its figures as files; the same folder gives the same files.

    Args:
        folder: the run folder, finished or not.
        store: its study.
        summary: as `search.summary.summarise` gives it.

    Raises:
        BadInput: a file of the folder is damaged, or report/ cannot be written.
    """
    from search.errors import BadInput  # noqa: PLC0415  # see the next line
    from search.report.facts import gather  # noqa: PLC0415  # --help must not pay for matplotlib
    from search.report.html import page  # noqa: PLC0415  # likewise
    from search.report.pictures import NAMES, draw, examine  # noqa: PLC0415  # likewise

    facts = gather(folder, store, summary)
    matter = examine(facts)
    pictures = draw(facts, matter)
    files: dict[str, bytes] = {}
    for name, picture in pictures.items():
        files |= {f"{name}.svg": picture.svg.encode(), f"{name}.png": picture.png}
    files["index.html"] = page(facts, matter, pictures).encode()
    target = folder.path / "report"
    try:
        target.mkdir(exist_ok=True)
        for name, content in files.items():
            part = target / f"{name}.part"
            part.write_bytes(content)
            part.replace(target / name)
        for name in set(NAMES) - set(pictures):  # of a folder that was once further
            for kind in ("svg", "png"):
                (target / f"{name}.{kind}").unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadInput(f"{target}: cannot write the report there ({reason})") from None
