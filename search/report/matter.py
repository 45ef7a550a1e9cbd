"""The part of the page about what mattered: importances, slices, mixtures, and their worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from search.report.drawing import figure
from search.report.facts import Facts
from search.report.importance import HALVED, MOST, REPEATS
from search.report.markup import Html, element, join, paragraph, section, table
from search.report.matter_figures import PANELS, axis_name, ceiling
from search.report.sample import ENOUGH, PREFIX

if TYPE_CHECKING:
    from search.report.drawing import Picture
    from search.report.pictures import Matter
    from search.report.sample import Sample

TITLE = "What mattered"
UNEVEN = (
    "The sampler tries more of what did well, and pruning stops the rest early. So the trials are "
    "no even sample of the space: an axis can look good because the good trials share it, and "
    "what goes together here need not be cause and effect."
)


def matter(facts: Facts, matter: Matter, pictures: Mapping[str, Picture]) -> Html:
    """Importance of every axis, loss against each of them, and mixtures, at one rung."""
    sample = matter.sample
    if sample is None:
        return section("matter", TITLE, paragraph("No trial was evaluated yet."))
    return section(
        "matter",
        TITLE,
        paragraph(basis(facts, sample)),
        paragraph(UNEVEN),
        importance_part(matter, sample, pictures),
        _slices(sample, pictures),
        _mixture(sample, pictures),
    )


def basis(facts: Facts, sample: Sample) -> str:
    """Which evaluations this is told from, and why those."""
    trials = "1 trial" if sample.n == 1 else f"{sample.n} trials"
    without = len(facts.records) - sample.n
    left = f" {without} of {len(facts.records)} trials were not evaluated there." if without else ""
    return (
        f"Told from the answer loss of {trials} at rung {sample.rung}, after about "
        f"{sample.tokens:,} tokens. It is the highest rung with at least {ENOUGH} trials, or the "
        f"lowest if there is none.{left}"
    )


def importance_part(matter: Matter, sample: Sample, pictures: Mapping[str, Picture]) -> Html:
    """Importances as a sentence, a figure and a table, or why there are none."""
    if "importance" not in pictures:
        return paragraph(lacking(sample))
    axes = len(matter.found)
    label = f"Importance of {axes} axes; the most important is {axis_name(matter.found[0].axis)}"
    rows = [
        (
            axis_name(one.axis),
            f"{one.share:.0%}",
            *([f"{one.halves[0]:.0%} to {one.halves[1]:.0%}"] if one.halves else []),
            f"{one.chance:.0%}" if one.chance <= 1 else "over 100%",
            element("span", "stands out" if one.stands_out else "could be chance", class_="flat"),
        )
        for one in matter.found
    ]
    halves = ["in halves"] if matter.found[0].halves else []
    head = ("axis", "share", *halves, "by chance up to", "in words")
    return join(
        paragraph(outstanding(matter)),
        figure("importance", pictures["importance"], label, explained(matter, sample)),
        table("Importance of each axis", head, rows, words=(len(head) - 1,)),
    )


def explained(matter: Matter, sample: Sample) -> str:
    """What an importance, its spread and its chance are."""
    said = (
        "PED-ANOVA: how differently an axis is distributed among the best quarter of "
        f"{min(sample.n, MOST)} trials and among all of them. The shares sum to 1 whatever the "
        "data. "
    )
    if matter.found[0].halves:
        said += (
            f"Thin line: the share in nine of ten of {REPEATS} random halves of the trials; a half "
            "has fewer trials, so the share of all can lie outside. "
        )
    else:
        said += f"How far they spread is told from {HALVED} trials on: fewer cannot be halved. "
    said += (
        f"Orange mark: the most that {REPEATS} shuffles of the losses gave, which is chance; only "
        "an axis beyond it, in the stronger blue, stands out."
    )
    if any(one.axis.startswith(PREFIX) for one in matter.found):
        said += (
            " An axis of the mixture is the part of the trained tokens that a source is to have. "
            "These parts sum to 1 as well, so one axis tells something of the others."
        )
    return said


def lacking(sample: Sample) -> str:
    """Why there are no importances."""
    if sample.n < ENOUGH:
        return (
            f"Importances are told from {ENOUGH} trials at a rung or more; with {sample.n} they "
            "would be chance."
        )
    if not sample.axes:
        return "No axis of the space could differ between trials, so none has an importance."
    return "All these trials have the same loss, so no axis has an importance."


def outstanding(matter: Matter) -> str:
    """Which axes stand out, in a sentence."""
    names = [axis_name(one.axis) for one in matter.found if one.stands_out]
    few = (
        f"One axis in {REPEATS + 1} passes this test by luck, and {len(matter.found)} axes were "
        "tried."
    )
    if not names:
        return "No axis stands out from what chance gives: these trials do not tell what mattered."
    return f"Standing out from chance: {', '.join(names)}. {few}"


def _slices(sample: Sample, pictures: Mapping[str, Picture]) -> Html:
    if "slices" not in pictures:
        return Html("")
    axes = len(sample.axes)
    shown = min(axes, PANELS)
    above = sum(loss > ceiling(sample.losses) for loss in sample.losses)
    caption = (
        f"Loss of each trial at rung {sample.rung} against each axis. Of the mixture, the share of "
        "trained tokens that was asked of a source."
    )
    if axes > shown:
        caption += f" The first {shown} of {axes} axes are drawn."
    if above:
        caption += f" Triangles: {above} with a loss above the frame."
    label = f"Loss at rung {sample.rung} against {shown} axes, one panel each"
    return figure("slices", pictures["slices"], label, caption)


def _mixture(sample: Sample, pictures: Mapping[str, Picture]) -> Html:
    if "mixture" not in pictures:
        return Html("")
    count = len(sample.sources)
    form = (
        "The nearer to a corner, the more of that source; lines at quarters."
        if count == 3
        else "One line per trial, over the sources."
    )
    label = f"Mixtures of {count} sources in {sample.n} trials, coloured by loss"
    return figure(
        "mixture",
        pictures["mixture"],
        label,
        "Mixtures that were tried: shares of trained tokens, by loss at rung "
        f"{sample.rung}. {form}",
    )
