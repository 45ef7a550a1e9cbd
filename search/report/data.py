"""The part of the page that says on which data: sources, overlaps with items, hashes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from objectives.data import LISTED
from search.report.facts import Facts
from search.report.markup import Html, element, join, paragraph, section, table


def data(facts: Facts) -> Html:
    """Where the rows came from, what overlapped with items, and the hashes of what was used."""
    hashes: Mapping[str, Any] = facts.summary["data"]
    if not facts.data_lines and not hashes:
        return section("data", "Data", paragraph("The data were not prepared yet."))
    listed = element("ul", *(element("li", line) for line in facts.data_lines))
    rows = [(name, element("code", digest)) for name, digest in hashes.items()]
    files = table("Files in data/ of the run folder", ("file", "sha256"), rows, words=(1,))
    return section("data", "Data", listed, contamination(facts.contamination), files)


def contamination(found: Mapping[str, Any] | None) -> Html:
    """Training rows that overlap with evaluation items: counts, and the rows, folded away."""
    if not found:
        return paragraph("No overlap between training rows and evaluation items was looked for.")
    counts: Mapping[str, int] = found.get("counts", {})
    compared = (
        "Every training row was compared with every evaluation item, search, finalists', final and "
        "held-out ones: both in lower case and without punctuation, it overlaps if it asks the "
        "same question or shares 13 words in a row, beyond the wording that many items share."
    )
    total = sum(counts.values())
    if not total:
        return paragraph(f"{compared} No overlap was found.")
    told = paragraph(f"{compared} {total:,} overlapping rows were dropped before training.")
    by_source = table(
        "Overlapping rows by source", ("source", "rows"), [(n, f"{c:,}") for n, c in counts.items()]
    )
    return join(told, by_source, _rows(found.get("rows", []), total))


def _rows(rows: list[Mapping[str, Any]], total: int) -> Html:
    shown = rows[:LISTED]
    if not shown:
        return Html("")
    cells = [
        (
            f"{row['source']} {row['row']}",
            f"{row['task']} {row['item']}",
            row["kind"],
            element("div", row["text"], class_="why"),
        )
        for row in shown
    ]
    head = ("row of source", "item of task", "kind", "text in common")
    made = table("Rows that overlap with an item", head, cells, words=(1, 2, 3))
    more = total - len(shown)
    rest = paragraph(f"And {more:,} more in data/contamination.jsonl.") if more > 0 else Html("")
    return element("details", element("summary", f"The first {len(shown)} rows"), made, rest)
