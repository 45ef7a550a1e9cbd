"""`python -m studies.challenge_score`: rank a result among the 2023 challenge's finalists.

The challenge "1 LLM + 1 GPU + 1 Day" scored an entry by how many of the others it beat. So a result
is put among the finalists of a track (8 on the 4090, 9 on the A100), and all of them are scored
again by the organisers' formula (rank_submissions.py of llm-efficiency-challenge/private-helm):

  win rate of a metric      (entries that are worse + 1/c if c > 1 share the value) / entries
  win rate of a scenario    the mean over its metrics
  Score_open, Score_hidden  the geometric mean over the scenarios of that half
  Score_full                1/3 of Score_open + 2/3 of Score_hidden

A missing value counts as 0, or as 1000 where lower is better. RESULTS.json is one of three:

  {"MMLU": {"EM": 0.63, "EM (Robustness)": 0.59, "EM (Fairness)": null}, "GSM8K": {"EM": 0.44}}
      the organisers' scenarios and metrics, from 0 to 1; null or left out: missing
  {"results": {"mmlu": {"acc,none": 0.6}, "gsm8k": {"exact_match,flexible-extract": 0.4}}}
      what `lm_eval --output_path` writes
  {"final": {"per_task": {"mmlu": 0.6, "gsm8k": 0.4}, "heldout": {"hendrycks_math": 0.1}}}
      summary.json of a run of this tool

The last two are not measured as the finalists were, so the comparison is approximate. lm-eval gives
one metric of a scenario (five of ethics), and that alone counts, for every entry. Several BIG-bench
tasks count by their mean; one value for all of ETHICS is held against each of its five parts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, geometric_mean
from typing import Any

from search.cli import Parser, guarded
from studies.challenge_results import (
    HIDDEN,
    LOWER_IS_BETTER,
    OPEN,
    PARTS,
    SOURCE,
    TRACKS,
    Entry,
    Given,
    Values,
    finalists,
    metrics,
    read,
    scenario,
    some,
)

HEADINGS = ("MMLU", "TQA", "BIGb", "GSM", "BBQ", "SAM", "C2C", "MATH", "ETH")
HALVES = {"Score_open": OPEN, "Score_hidden": HIDDEN}
LEAST = 5e-324
"""What a win rate of 0 is in the geometric mean, which is then about 0."""
YOURS = "your result"
MISSING = (
    "By the official rule a missing scenario has the worst value: its win rate is 0, or little\n"
    "more where finalists share that value, and the score of its half is about 0, or low."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """What an entry is worth in one field of entries."""

    rates: Mapping[str, float]
    """Mean win rate by scenario, from 0 to below 1."""
    scores: Mapping[str, float]
    """Score_open, Score_hidden and Score_full, from 0 to below 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """An entry's line in the table of a track."""

    entry: Entry
    score: Score
    ranks: Mapping[str, int]
    """By each of the three scores; 1 is the best, and equal ones share the better."""


def wins(values: Sequence[float | None], *, lower: bool = False) -> list[float]:
    """Win rate of each value of one metric; None: missing. `lower`: lower is better."""
    worst = 1000.0 if lower else 0.0
    known = [worst if value is None else value for value in values]
    signed = [-value for value in known] if lower else known
    made = []
    for value in signed:
        shared = signed.count(value)
        worse = sum(value > other for other in signed)
        made.append((worse + (1 / shared if shared > 1 else 0)) / len(signed))
    return made


def score(field: Sequence[Values], *, approximate: bool = False) -> list[Score]:
    """Score every entry of a field; if approximate, by the metrics that lm-eval gives alone."""
    won: list[dict[str, list[float]]] = [{name: [] for name in OPEN + HIDDEN} for _ in field]
    for part, metric in metrics(approximate=approximate):
        values = [entry.get((part, metric)) for entry in field]
        rates = wins(values, lower=LOWER_IS_BETTER.match(metric) is not None)
        for entry, rate in zip(won, rates, strict=True):
            entry[scenario(part)].append(rate)
    return [_scored({name: fmean(rates) for name, rates in entry.items()}) for entry in won]


def _scored(rates: Mapping[str, float]) -> Score:
    scores = {
        half: geometric_mean([max(rates[name], LEAST) for name in names])
        for half, names in HALVES.items()
    }
    full = scores["Score_open"] / 3 + 2 * scores["Score_hidden"] / 3
    return Score(rates=rates, scores=scores | {"Score_full": full})


def table(track: str, given: Given) -> list[Place]:
    """A track's finalists and the result, the best Score_full first."""
    entries = (*finalists(track), Entry(team=YOURS, values=given.values))
    scored = score([entry.values for entry in entries], approximate=given.approximate)
    places = [
        Place(
            entry=entry,
            score=mine,
            ranks={
                name: 1 + sum(other.scores[name] > value for other in scored)
                for name, value in mine.scores.items()
            },
        )
        for entry, mine in zip(entries, scored, strict=True)
    ]
    return sorted(places, key=lambda place: -place.score.scores["Score_full"])


def lines(track: str, given: Given, places: Sequence[Place]) -> list[str]:
    """The table of a track for people, and what is missing in words."""
    (mine,) = (place for place in places if place.entry.published is None)
    ranks = ", ".join(f"{mine.ranks[half]} by {half}" for half in HALVES)
    best = f"{mine.ranks['Score_full']} of {len(places)} by Score_full"
    heads = "".join(f"{head:>5}" for head in HEADINGS)
    made = [
        f"{track}: your result would be {best} ({ranks})",
        f"{'':>4}{'team':<19}{heads}   open hidden   full   2023",
    ]
    for place in places:
        rates = "".join(f"{place.score.rates[name]:>5.2f}" for name in OPEN + HIDDEN)
        scores = "".join(f"{value:>7.3f}" for value in place.score.scores.values())
        then = place.entry.published
        published = f"{then['Score_full']:>7.3f}" if then else f"{'-':>7}"
        mark = "" if then else "  <"
        made.append(
            f"{place.ranks['Score_full']:>3} {place.entry.team:<19}{rates}{scores}{published}{mark}"
        )
    return made + _missing(given, mine.score)


def _missing(given: Given, mine: Score) -> list[str]:
    wanted = metrics(approximate=given.approximate)
    known = {pair for pair in wanted if given.values.get(pair) is not None}
    there = {scenario(part) for part, _ in known}
    made = []
    for half, names in HALVES.items():
        if absent := [name for name in names if name not in there]:
            told = ", ".join(f"{name} (win rate {mine.rates[name]:.3f})" for name in absent)
            made.append(f"Missing: {told}. So {half} is {mine.scores[half]:.3f}.")
    if made:
        made.append(MISSING)
    gaps = [pair for pair in wanted if pair not in known and scenario(pair[0]) in there]
    if gaps:
        named = some([f"{part} {metric}" for part, metric in gaps])
        made.append(f"Missing metrics have the worst value: {named}.")
    return made


def work(arguments: Sequence[str] | None) -> int:
    """Read a result, print its place, and write it if asked to."""
    first, _, rest = str(__doc__).partition("\n\n")
    names = "\n".join(f"  {part}: {', '.join(known)}" for part, known in PARTS.items())
    parser = Parser(
        "python -m studies.challenge_score", first, f"{rest}\nscenarios and metrics:\n{names}"
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("results", type=Path, metavar="RESULTS.json", help="see below")
    parser.add_argument("--track", choices=[track.lower() for track in TRACKS], help="one alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    options = parser.parse_args(arguments)
    given = read(options.results)
    made: dict[str, Any] = {}
    if given.notes:
        print("\n".join(given.notes) + "\n")
    for track in TRACKS:
        if options.track in (None, track.lower()):
            places = table(track, given)
            print("\n".join(lines(track, given, places)) + "\n")
            made[track] = [_facts(place) for place in places]
    on = ", on the metrics that lm-eval gives" if given.approximate else ""
    print(f"Win rates and scores are those with your result in the field{on}.")
    print("2023: the published Score_full, without your result and on all metrics.")
    if options.json:
        facts = {"source": SOURCE, "approximate": given.approximate, "notes": given.notes}
        text = json.dumps(facts | {"tracks": made}, indent=2)
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0


def _facts(place: Place) -> dict[str, Any]:
    entry = place.entry
    return {
        "team": entry.team,
        "base_model": entry.base_model,
        "ranks": place.ranks,
        "mean_win_rates": place.score.rates,
        "scores": place.score.scores,
        "published": entry.published and dict(entry.published),
        "published_mean_win_rates": entry.published_rates and dict(entry.published_rates),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    return guarded(lambda: work(arguments), "stopped")


if __name__ == "__main__":
    raise SystemExit(main())
