"""HTML from function calls: whatever is not markup already is escaped, so nothing can slip in."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def markup(value: object) -> Html:
    """A value as markup: `Html` stays as it is, anything else is escaped."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def join(*parts: object) -> Html:
    """Parts one after the other, each as `markup` gives it."""
    return Html("".join(markup(part) for part in parts))


def element(tag: str, *children: object, **attributes: str) -> Html:
    """An element, such as `element("p", "5 < 6", class_="note")`.

    Args:
        tag: its name.
        children: its content; strings are escaped.
        attributes: `class_` becomes `class`, `aria_label` becomes `aria-label`.
    """
    inside = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in attributes.items()
    )
    return Html(f"<{tag}{inside}>{join(*children)}</{tag}>")


def paragraph(*children: object) -> Html:
    """A paragraph of text."""
    return element("p", *children)


def code(text: str) -> Html:
    """A command line in a box of its own, which scrolls sideways."""
    return element("pre", element("code", text), tabindex="0")


def section(name: str, title: str, *children: object, wide: bool = False) -> Html:
    """A part of the page with a heading of the second level.

    Args:
        name: its anchor.
        title: its heading.
        children: its content.
        wide: give it more room on a large screen.
    """
    heading = element("h2", title, id=f"{name}-title")
    width = {"class_": "wide"} if wide else {}
    return element("section", heading, *children, id=name, aria_labelledby=f"{name}-title", **width)


def table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    words: Sequence[int] = (),
    marked: Sequence[int] = (),
    foot: Sequence[object] = (),
    stacked: bool = False,
) -> Html:
    """A table that scrolls inside its own box on a narrow screen.

    Args:
        caption: what it shows.
        head: one name per column.
        rows: cells by row; the first cell of a row is its header.
        words: columns that hold text; the others hold numbers and are set to the right.
        marked: rows that stand out.
        foot: cells of a last row with totals, if any.
        stacked: on a narrow screen, set the cells of a row below each other.
    """

    def line(cells: Sequence[object], *, stands_out: bool = False) -> Html:
        made = [element("th", cells[0], scope="row")]
        for column, cell in enumerate(cells[1:], 1):
            look = {} if column in words else {"class_": "number"}
            told = {"data_label": head[column]} if stacked else {}
            made.append(element("td", cell, **look, **told))
        return element("tr", *made, **({"class_": "marked"} if stands_out else {}))

    names = [
        element("th", name, scope="col", **({"class_": "number"} if i and i not in words else {}))
        for i, name in enumerate(head)
    ]
    body = [line(row, stands_out=i in marked) for i, row in enumerate(rows)]
    parts = [
        element("caption", element("span", caption)),
        element("thead", element("tr", *names)),
        element("tbody", *body),
    ]
    if foot:
        parts.append(element("tfoot", line(foot)))
    return element(
        "div",
        element("table", *parts),
        class_="scroll stacked" if stacked else "scroll",
        role="region",
        aria_label=caption,
        tabindex="0",
    )
