"""The parts of the page that say what the recipe is and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search.report.chance import gain_of
from search.report.drawing import Picture, figure
from search.report.facts import EXACT, PARTS, Facts
from search.report.markup import Html, element, join, paragraph, section, table
from search.report.text import scored

NAMES = {"base": "base model", "default": "default recipe", "final": "final run"}
FLOOR = 0.05
"""Accuracy of the base model below which its answers may just lack the form asked for."""


def headline(facts: Facts) -> Html:
    """The figures that matter most, large."""
    final = facts.summary["final"]
    boxes = []
    if final:
        tasks = len(final["per_task"])
        metric = facts.metric(final["per_task"])
        boxes.append(
            _big(
                final,
                f"accuracy of the final run on {final['items']} fresh items: {metric}, "
                f"{'one task' if tasks == 1 else f'mean over {tasks} tasks'}, "
                "± one standard error",
                main=True,
            )
        )
    boxes += [_big(facts.summary[p], NAMES[p]) for p in ("default", "base") if facts.summary[p]]
    return element("div", *boxes, class_="headline") if boxes else Html("")


def worth(facts: Facts, pictures: Mapping[str, Picture]) -> Html:
    """What the final run is worth beside default and base, and on held-out tasks."""
    parts = {name: facts.summary[name] for name in PARTS if facts.summary[name]}
    if not parts:
        return section(
            "worth",
            "What the recipe is worth",
            paragraph("Nothing was scored on fresh items yet, so nothing can be said about it."),
        )
    order = [name for name in ("final", "default", "base") if name in parts]
    rows = [
        (
            join(NAMES[name], _small(_whose(parts[name]))),
            scored(parts[name]),
            f"{parts[name]['tokens']:,}" if "tokens" in parts[name] else "0",
            f"{parts[name]['gpu_hours']:.4f}" if "gpu_hours" in parts[name] else "0",
        )
        for name in order
    ]
    items = parts[order[0]]["items"]
    metric = facts.metric(parts[order[0]]["per_task"])
    return section(
        "worth",
        "What the recipe is worth",
        table(
            f"Accuracy ({metric}) on the same {items} items, which no decision of the search saw, "
            "± standard error",
            ("", "accuracy", "trained tokens", facts.unit),
            rows,
            marked=(0,) if "final" in parts else (),
        ),
        _figure(order, pictures),
        *(paragraph(sentence) for sentence in comparisons(facts)),
        by_task(facts, order),
        *(paragraph(sentence) for sentence in held_out(facts)),
    )


def _figure(order: Sequence[str], pictures: Mapping[str, Picture]) -> Html:
    """Scores with their error bars, if any item was kept."""
    if "worth" not in pictures:
        return Html("")
    shown = ", ".join(NAMES[name] for name in order)
    caption = (
        "Accuracy on fresh items, task by task; held-out tasks, which no decision saw, are set "
        "apart below the dotted line. A bar is one standard error of one score either way. "
        "Whether bars overlap does not tell whether two scores differ, because both are of the "
        "same items"
    )
    if "final" in order and len(order) > 1:
        caption += (
            ": only the comparisons below do, item by item, by a two-sided sign-flip test. Its p "
            "is how often differences of this size come about if neither is better"
        )
    return figure(
        "worth",
        pictures["worth"],
        f"Accuracy by task of {shown}, with error bars",
        f"{caption}.",
    )


def comparisons(facts: Facts) -> list[str]:
    """What the figures can and cannot say, in sentences."""
    final, default, base = (facts.summary[name] for name in ("final", "default", "base"))
    said: list[str] = []
    if final and base:
        said += _gained(facts, "base")
        if base["accuracy"] < FLOOR:
            said.append(
                "The base model answers next to nothing in exactly the form asked for, so a part "
                "of this gain may be the form of the answer rather than its content."
            )
    if final and default:
        said += [*_gained(facts, "default"), _lengths(final, default)]
        if equal := _equal_length(facts, final["trial"]):
            said.append(equal)
    elif final:
        said.append(
            "The default recipe has no score on fresh items: it did not reach the top rung, so "
            "there is no comparison with it."
        )
    return said


def by_task(facts: Facts, order: Sequence[str]) -> Html:
    """Accuracy by task, held-out tasks last."""
    parts = {name: facts.summary[name] for name in order}
    rows: list[tuple[object, ...]] = []
    for group, kind in (("per_task", "task"), ("heldout", "held-out task")):
        tasks = dict.fromkeys(task for part in parts.values() for task in part[group])
        for task in tasks:
            found = [scores[task] for scores in facts.scores.values() if task in scores]
            rows.append(
                (
                    join(task, _small(f"{kind}, {facts.metrics.get(task, EXACT)}")),
                    len(found[0].correct) if found else "",
                    *(
                        f"{part[group][task]:.3f}" if task in part[group] else "–"
                        for part in parts.values()
                    ),
                )
            )
    head = ("task", "items", *(NAMES[name] for name in order))
    return table("Accuracy by task", head, rows)


def held_out(facts: Facts) -> list[str]:
    """What the held-out tasks say, in sentences."""
    final, base = facts.summary["final"], facts.summary["base"]
    if not final:
        return []
    if not final["heldout"]:
        if facts.summary["heldout_tasks"]:
            return ["The final run has no score on held-out items."]
        return ["The study has no held-out task, so nothing shows what the recipe does elsewhere."]
    said = "No decision of the search saw a held-out task: it shows what the recipe does elsewhere."
    known = (base or {}).get("heldout", {})
    worse = [task for task, value in final["heldout"].items() if value < known.get(task, 0.0)]
    if worse:
        said += f" The final run is less accurate than the base model on {', '.join(worse)}."
    return [said]


def recipe(facts: Facts) -> Html:
    """The final run's recipe beside the default, field by field."""
    final = facts.summary["final"]
    if not final or not final["recipe"]:
        return section("recipe", "The recipe", paragraph("No recipe was chosen and scored yet."))
    chosen, default = final["recipe"], _default_recipe(facts)
    fields = [name for name in chosen if name not in ("mixture", "extra")]
    rows = [(name, _value(name, chosen), _value(name, default)) for name in fields]
    own, its = chosen.get("extra", {}), default.get("extra", {})
    rows += [(name, _value(name, own), _value(name, its)) for name in own]
    rows += [
        (
            f"mixture: {source}",
            f"{share:.1%}",
            f"{default['mixture'].get(source, 0.0):.1%}" if default else "–",
        )
        for source, share in chosen["mixture"].items()
    ]
    return section(
        "recipe",
        "The recipe",
        paragraph(
            f"Chosen for the final run: {facts.summary['winner_reason'] or 'no reason kept'}."
        ),
        table(
            "Recipe of the final run, and the default beside it; the mixture is a share of "
            "trained tokens",
            ("field", "final run", "default"),
            rows,
        ),
    )


def _default_recipe(facts: Facts) -> Mapping[str, Any]:
    """The default's fields, scored or not; empty if it was not tried."""
    if facts.summary["default"]:
        return dict(facts.summary["default"]["recipe"])
    return facts.records[0].recipe.to_dict() if facts.records else {}


def _big(part: Mapping[str, Any], label: str, *, main: bool = False) -> Html:
    number = element("span", f"{part['accuracy']:.3f}", class_="value")
    error = element("span", f" ± {part['stderr']:.3f}", class_="error")
    words = element("p", label, class_="label")
    return element("div", element("p", number, error), words, class_="main" if main else "side")


def _small(words: str) -> Html:
    return element("span", words, class_="small") if words else Html("")


def _whose(part: Mapping[str, Any]) -> str:
    return f"trial {part['trial']}" if "trial" in part else "not trained"


def _gained(facts: Facts, against: str) -> list[str]:
    """The final run's gain against another part, item by item, and what it is worth."""
    if "final" not in facts.scores or against not in facts.scores:
        return []
    said = []
    whose = {"base": "the base model's", "default": "the default recipe's"}[against]
    for group, where in (("per_task", ""), ("heldout", " on held-out tasks")):
        tasks = list(facts.summary["final"][group])
        gain = gain_of(facts.scores["final"], facts.scores[against], tasks)
        if gain is None:
            continue
        if not gain.differs:
            said.append(
                f"Item by item, the final run's accuracy{where} is the same as {whose}, on every "
                "item. That does not show that they are equally good."
            )
            continue
        spread = f"± {gain.stderr:.3f}" if gain.stderr else "on every item of a task alike"
        said.append(
            f"Item by item, the final run's accuracy{where} is {gain.mean:+.3f} {spread} against "
            f"{whose} ({gain.verdict})."
        )
    return said


def _lengths(final: Mapping[str, Any], default: Mapping[str, Any]) -> str:
    trained, short = final["tokens"], default["tokens"]
    if trained == short:
        return f"The default recipe and the final run were both trained for {trained:,} tokens."
    return (
        f"The default was trained for its trial's {short:,} tokens only, the final run for "
        f"{trained:,} tokens. This is not a comparison at equal training length: the difference "
        "between them is not the recipe's alone."
    )


def _equal_length(facts: Facts, number: int) -> str | None:
    """The chosen trial and the default where both had the same rung."""
    if number == 0:
        return "The final run goes on from the default recipe's own trial: no other one did better."
    chosen, default = facts.records[number].rungs, facts.records[0].rungs
    if not chosen or len(chosen) != len(default):
        return None
    here, there = chosen[-1], default[-1]
    if here.tokens != there.tokens:
        return None
    return (
        f"At equal length, {here.tokens:,} tokens, trial {number} had accuracy "
        f"{here.accuracy:.3f} ± {here.stderr:.3f} and loss {here.loss:.3f}, the default "
        f"{there.accuracy:.3f} ± {there.stderr:.3f} and {there.loss:.3f}. That is on the search "
        f"items, by which trial {number} was chosen, so it flatters trial {number}."
    )


def _value(name: str, fields: Mapping[str, Any]) -> str:
    if name not in fields:
        return "–"
    value = fields[name]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2e}" if isinstance(value, float) else str(value)
