"""The part of the page that says on which data: sources, overlaps with items, hashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from objectives.data import LISTED
from objectives.mixture import MAX_PASSES
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
    return section(
        "data",
        "Data",
        listed,
        sources(facts),
        dropped(facts.dropped),
        contamination(facts.contamination),
        files,
    )


def sources(facts: Facts) -> Html:
    """A source's rows read, dropped and kept; what the recipe asked of it and what was trained."""
    final = facts.summary["final"] or {}
    mixture: Mapping[str, Mapping[str, float]] = final.get("mixture", {})
    rows = []
    for name, source in facts.sources.items():
        counts = dict(source["dropped"])
        if long := facts.over_long.get(name):
            counts["over the longest row"] = long
        reasons = ", ".join(f"{count:,} {why}" for why, count in counts.items())
        own = mixture.get(name)
        told = ("–", "–", "–")
        if own:
            told = (f"{own['asked']:.1%}", f"{own['trained']:.1%}", f"{own['passes']:.2f}")
        rows.append(
            (
                name,
                f"{source['rows']:,}",
                reasons or "none",
                f"{source['kept'] - (long or 0):,}",
                *told,
                source["licence"] or "not known",
                source["made_by"] or "not known",
            )
        )
    if not rows:
        return Html("")
    head = ("source", "rows", "dropped", "kept", "asked", "trained", "passes", "licence", "made by")
    made = table("Sources", head, rows, words=(2, 7, 8))
    note = paragraph(
        "Dropped: broken rows, rows that came before, rows longer than any recipe takes; kept: "
        "what is left after rows that overlap with items are gone too. Asked and trained: shares "
        f"of the final run's trained tokens. A source is read at most {MAX_PASSES} times; "
        "after that the others share its weight."
    )
    return join(made, note)


def dropped(examples: Sequence[Mapping[str, Any]]) -> Html:
    """Some of the rows that were dropped, with the reason, folded away."""
    if not examples:
        return Html("")
    cells = [
        (
            f"{row['source']} {row['row']}",
            row["reason"],
            f"{row['earlier'][0]} {row['earlier'][1]}" if row["earlier"] else "",
            element("div", row["text"], class_="why"),
        )
        for row in examples
    ]
    head = ("row of source", "reason", "same as row", "text")
    made = table("Some of the rows that were dropped", head, cells, words=(1, 2, 3))
    return element("details", element("summary", f"{len(cells)} dropped rows"), made)


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
