"""ROUGE-2, the challenge's metric of SAMSum, as a function that lm-eval calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rouge_score.rouge_scorer import RougeScorer


def rouge_2(doc: Mapping[str, str], results: Sequence[str]) -> dict[str, float]:
    """The F-measure of bigrams, of stemmed words, from 0 to 1.

    Args:
        doc: with the right `summary`.
        results: the model's answer.
    """
    scorer = RougeScorer(["rouge2"], use_stemmer=True)
    return {"rouge2": scorer.score(doc["summary"], results[0])["rouge2"].fmeasure}
