"""The part of the page about the finalists: search score, fresh score and held-out score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.report.facts import Facts
from search.report.markup import Html, element, paragraph, section, table
from search.report.text import NO_HELDOUT_SHOWN, heldout_words, scored

TITLE = "Search score and held-out score"


def finalists(facts: Facts) -> Html:
    """Every finalist's scores side by side, and whether search scores foretell held-out scores."""
    rows = facts.summary["finalists"]
    if not rows:
        return section("finalists", TITLE, paragraph("No trial was chosen yet."))
    none = facts.summary["heldout_tasks"] == []
    tasks = list(dict.fromkeys(task for row in rows for task in _by_task(row)))
    head = ["trial", "search items", "fresh items", *([] if none else ["held out"]), *tasks]
    said = NO_HELDOUT_SHOWN if none else heldout_words(facts.summary["heldout_correlation"])
    words = paragraph(f"{said[0].upper()}{said[1:]}.")
    warns = none or said.startswith("warning")
    return section(
        "finalists",
        TITLE,
        paragraph(
            "The trials that could be chosen. Where there were several and time allowed, each was "
            "scored again on fresh items before the choice, since the best of many early "
            "evaluations is partly the luckiest one, and on held-out items after it: those are "
            "part of no decision."
        ),
        element("div", words, class_="notice", role="note") if warns else words,
        table(
            "Accuracy ± standard error of each finalist as it was chosen, before the final run; "
            "then by held-out task",
            head,
            [_row(facts, row, tasks, none=none) for row in rows],
            marked=[i for i, row in enumerate(rows) if row["trial"] == facts.final_trial],
        ),
    )


def _by_task(row: Mapping[str, Any]) -> dict[str, float]:
    return dict(row["heldout"]["per_task"]) if row["heldout"] else {}


def _row(
    facts: Facts, row: Mapping[str, Any], tasks: list[str], *, none: bool
) -> tuple[object, ...]:
    known = _by_task(row)
    scores = [row["search"], row["fresh"], *([] if none else [row["heldout"]])]
    return (
        f"{row['trial']}{' (default)' if facts.records[row['trial']].control else ''}",
        *(scored(score) if score else "–" for score in scores),
        *(f"{known[task]:.3f}" if task in known else "–" for task in tasks),
    )
