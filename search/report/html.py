"""The page: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from search.budget import format_seconds
from search.report import course, data, embed, finalists, matter, trials, worth
from search.report.facts import Facts
from search.report.markup import Html, code, element, join, paragraph, section, table
from search.report.style import style_sheet
from search.report.text import well_formed

if TYPE_CHECKING:
    from search.report.drawing import Picture
    from search.report.pictures import Matter

CONTENTS = {
    "recipe": "Recipe",
    "worth": "Worth",
    "finalists": "Held out",
    "pareto": "Pareto front",
    "curves": "Curves",
    "budget": "Budget",
    "matter": "What mattered",
    "ranks": "Ranks",
    "trials": "Trials",
    "data": "Data",
    "setting": "Versions",
    "again": "Reproduce",
}


def page(facts: Facts, mattered: Matter, pictures: Mapping[str, Picture]) -> str:
    """The whole document.

    Args:
        facts: what to show; parts that a run has not reached yet are named as missing.
        mattered: what is told of what mattered.
        pictures: the figures there are, by name.
    """
    title = f"Recipe Search: {facts.summary['study']}"
    body = element(
        "main",
        header(facts),
        worth.recipe(facts),
        worth.worth(facts, pictures),
        finalists.finalists(facts),
        course.pareto(facts, pictures),
        course.curves(facts, pictures),
        course.budget(facts, pictures),
        matter.matter(facts, mattered, pictures),
        course.ranks(facts),
        trials.trials(facts),
        data.data(facts),
        setting(facts),
        again(facts),
        element("footer", "Made by Recipe Search from the run folder alone."),
    )
    plots = "data-plot=" in body
    head = join(
        Html('<meta charset="utf-8">'),
        embed.policy(scripts=plots),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        element("title", title),
        element("style", Html(style_sheet())),
    )
    scripts = embed.scripts() if plots else Html("")
    document = element("html", element("head", head), element("body", body, scripts), lang="en")
    return f"<!DOCTYPE html>\n{document}\n"


def header(facts: Facts) -> Html:
    """Title, state, the largest figures, and the way to the parts."""
    summary = facts.summary
    spent = f"{format_seconds(facts.spent_s)} of {format_seconds(summary['budget_s'])} spent"
    where = summary["device"] or "a device not known yet"
    links = [
        element("li", element("a", name, href=f"#{anchor}")) for anchor, name in CONTENTS.items()
    ]
    return element(
        "header",
        element("p", "Recipe Search", class_="eyebrow"),
        element("h1", f"{summary['study']}: fine-tuning {summary['model'].rsplit('/', 1)[-1]}"),
        element("p", f"{spent} on {where}, seed {summary['seed']}", class_="subtitle"),
        notice(facts),
        worth.headline(facts),
        element("nav", element("ul", *links), aria_label="On this page"),
    )


def notice(facts: Facts) -> Html:
    """What an unfinished run still lacks, in words; nothing for a finished one."""
    lacking = missing(facts)
    if not lacking:
        return Html("")
    return element(
        "div",
        element("p", element("strong", "This run is not finished.")),
        element("ul", *(element("li", line) for line in lacking)),
        class_="notice",
        role="note",
    )


def missing(facts: Facts) -> list[str]:
    """What a finished run would have and this one has not."""
    summary = facts.summary
    evaluated = any(record.rungs for record in facts.records)
    lacking = {
        "no plan: the budget was not split yet": not summary["plan"],
        "no early evaluation: the Pareto front is empty": not evaluated,
        "no score of the base model on fresh items": not summary["base"],
        "no forecast of the final run": not summary["forecast_final"],
        "no final run: nothing says yet what the recipe is worth": not summary["final"],
        "no exported recipe": not facts.exported,
    }
    return [line for line, lacks in lacking.items() if lacks]


def setting(facts: Facts) -> Html:
    """Device, speeds, seed, base model and versions."""
    summary = facts.summary
    memory, speed = summary["peak_memory_gib"], summary["tokens_per_s"]
    rows: list[tuple[str, object]] = [
        ("study", summary["study"]),
        ("model", summary["model"]),
        ("device", summary["device"] or "not known yet"),
        ("seed", summary["seed"]),
        ("training speed of the trials", f"{speed:,.0f} tokens/s" if speed else "not known yet"),
        ("peak memory", f"{memory:.1f} GiB" if memory else "not measured"),
    ]
    rows += [
        (f"base model: {name}", value) for name, value in (summary["base_model"] or {}).items()
    ]
    rows += [
        (
            f"smoke evaluation: {task}",
            well_formed(seen),
        )
        for task, seen in (summary["smoke"] or {}).items()
    ]
    rows += [(f"version: {name}", value) for name, value in (summary["versions"] or {}).items()]
    made = table("What the run ran on", ("", "value"), rows, words=(1,))
    return section("setting", "Versions, seed, device", made)


def again(facts: Facts) -> Html:
    """Commands to watch, rebuild and reproduce."""
    commands = [
        (
            "Look at the study in Optuna's dashboard:",
            "optuna-dashboard sqlite:///RUN_DIR/study.db --artifact-dir RUN_DIR/artifacts",
        ),
        ("Build this page again from the run folder:", "python -m search.report RUN_DIR"),
    ]
    if facts.exported:
        commands.append(
            (
                "Train the recipe again and compare with the score above:",
                "python -m search.reproduce RUN_DIR/recipe",
            )
        )
    parts = [join(paragraph(words), code(command)) for words, command in commands]
    told = paragraph(
        "RUN_DIR is the run folder. The same ", element("code", "python -m search.run"),
        " command with the same ", element("code", "--out"), " goes on with an unfinished run.",
    )  # fmt: skip
    return section("again", "Watch and reproduce", told, *parts)
