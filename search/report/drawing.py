"""Canvas, style and files of the report's figures; matplotlib, with no global state."""

from __future__ import annotations

import base64
import io
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from search.report.markup import Html, element, markup
from search.report.style import colour, variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

WIDTH = 4.7
"""Inches; the page scales figures to its column, and on a phone shows them about that wide."""
LONGEST = 40
"""Characters of a name in a figure."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure as files hold it, on white."""

    svg: str
    png: bytes
    """160 dots per inch."""


def render(figure: Figure, name: str) -> Picture:
    """A figure as SVG and PNG; the same figure gives the same bytes.

    Args:
        figure: what to draw.
        name: what ids in the SVG are made from.
    """
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with (
        warnings.catch_warnings(),
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}),
    ):
        warnings.filterwarnings("ignore", message="Glyph")  # a sign of a name that no font has
        figure.savefig(file, format="svg", facecolor="white", metadata=nothing)
        figure.set_layout_engine(None)  # it is laid out by now; with one, it is drawn twice
        return Picture(file.getvalue(), to_png(figure))


def to_png(figure: Figure) -> bytes:
    """A figure as a PNG image on white, 160 dots per inch."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=160, facecolor="white", metadata={"Software": None})
    return file.getvalue()


def inline(svg: str, name: str, label: str) -> Html:
    """An SVG file's drawing as an element for a page, in the page's colours and font.

    Args:
        svg: as `render` gives it.
        name: put before every id, so that figures of one page do not share any.
        label: what it shows, for those who do not see it.
    """
    box = re.search(r'viewBox="([\d. ]+)"', svg)
    assert box is not None  # noqa: S101  # matplotlib always writes one
    inner = svg[svg.index(">", box.end()) + 1 : svg.rindex("</svg>")]
    inner = re.sub(r"<style.*?</style>", "", inner, flags=re.DOTALL)
    inner = re.sub(r"font-family: [^;\"]+;?", "", inner)
    inner = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", inner)
    inner = variables(inner.replace("xlink:href", "href"))
    return Html(
        f'<svg viewBox="{box[1]}" role="img" aria-label="{markup(label)}" '
        f'stroke-linejoin="round">{inner}</svg>'
    )


def figure(name: str, picture: Picture, label: str, caption: str) -> Html:
    """A figure for a page, with its caption and its files to be saved.

    The files are in the page: it may be mailed, or stand in a dashboard, without those beside it.

    Args:
        name: of the files, without `.svg` and `.png`; the card's id is made from it.
        picture: the figure.
        label: what it shows, for those who do not see it.
        caption: what it shows, for all.
    """
    files = [
        element(
            "a",
            kind.upper(),
            href=f"data:image/{mime};base64,{base64.b64encode(content).decode()}",
            download=f"{name}.{kind}",
        )
        for kind, mime, content in (
            ("svg", "svg+xml", picture.svg.encode()),
            ("png", "png", picture.png),
        )
    ]
    return element(
        "figure",
        element("div", inline(picture.svg, name, label), class_="card", id=f"{name}-card"),
        element("figcaption", caption, " Save as ", files[0], " or ", files[1], "."),
    )


def plain(name: str) -> str:
    """A name of the user's for a figure: no longer than fits, none of it taken for mathematics."""
    seen = "".join(sign if sign.isprintable() else "?" for sign in name)
    cut = seen if len(seen) <= LONGEST else f"{seen[: LONGEST - 1]}…"
    return cut.replace("$", r"\$")


def short_count(value: float) -> str:
    """`512`, `262k`, `9.4M`: a count for an axis."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{sign}"
    return f"{value:.0f}"


def frame(height: float) -> tuple[Figure, Axes]:
    """An empty figure, `height` inches high, and its axes in the report's style."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    styled(axes)
    return figure, axes


def styled(axes: Axes) -> None:
    """Give axes the report's style."""
    axes.set_axisbelow(True)
    axes.grid(visible=True, color=colour("line"), lw=0.8)
    axes.tick_params(which="both", color=colour("faint"), labelcolor=colour("muted"), labelsize=8.5)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(colour("faint"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(color=colour("ink"), size=9)


def legend() -> dict[str, Any]:
    """How a legend looks, as arguments of `Figure.legend`."""
    return {
        "frameon": False,
        "fontsize": 8.5,
        "columnspacing": 1.2,
        "labelcolor": colour("ink"),
        "handlelength": 1.4,
    }


def log_axis(axes: Axes, values: Sequence[float]) -> None:
    """Let x be on a log scale with few and plain ticks; one of `values` is above 0."""
    axes.set_xscale("log")
    some = [value for value in values if value > 0]
    wide = max(some) > 200 * min(some)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
