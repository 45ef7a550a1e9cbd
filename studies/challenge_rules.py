"""What NeurIPS 2023's challenge "1 LLM + 1 GPU + 1 Day" allows: base models and data, as a check.

The rules are those of October 2023, when submissions closed: a family's later generations (Llama 3,
Qwen2, Mistral v0.3) are not on the organisers' list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from search.errors import BadInput
from studies.study import Generated, HubDataset, Source, Study

CHALLENGE = "https://llm-efficiency-challenge.github.io/challenge"
RULES_PAGE = "https://llm-efficiency-challenge.github.io/rules"
LLAMA_2 = "LLaMA or Llama 2"
COLOSSAL = "Colossal-LLaMA-2-7b-base"
NO_MODEL = ("human", "program")
"""Values of `made_by` that name no model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """A family of base models on the organisers' list."""

    name: str
    """As the list has it."""
    publishers: tuple[str, ...]
    """Organisations on the Hugging Face hub; "": ids from before models had one."""
    models: str
    """Pattern of all of a base model's name, in lower case. It leaves tuned models out."""
    feeds: tuple[str, ...] | None = None
    """Families that may be trained on its answers; None: every one on the list."""
    answers_licence: str | None = None
    """Licence that its answers carry."""


FAMILIES = (
    Family(name="ALBERT", publishers=("albert", ""), models=r"albert-(base|x{0,2}large)-v[12]"),
    Family(name="BART", publishers=("facebook",), models=r"bart-(base|large)"),
    Family(
        name="BERT",
        publishers=("google-bert", "google", ""),
        models=r"bert-(base|large)-(un)?cased(-whole-word-masking)?|bert-base-multilingual-\w+",
    ),
    Family(name="Bloom", publishers=("bigscience",), models=r"bloom(-\d+[mb]\d?)?"),
    Family(
        name="Cerebras (btlm, GPT)",
        publishers=("cerebras",),
        models=r"cerebras-gpt-[\d.]+[mb]|btlm-3b-8k-base",
    ),
    Family(
        name=COLOSSAL,
        publishers=("hpcai-tech",),
        models=r"colossal-llama-2-7b-base",
        feeds=(LLAMA_2, COLOSSAL),
        answers_licence="LicenseRef-llama2",
    ),
    Family(
        name="DeBERTa",
        publishers=("microsoft",),
        models=r"m?deberta(-v[23])?-(xsmall|small|base|large|xlarge|xxlarge)",
    ),
    Family(name="DeciLM-6B", publishers=("deci",), models=r"decilm-6b"),
    Family(
        name="DistilBERT",
        publishers=("distilbert", ""),
        models=r"distilbert-base-(un|multilingual-)?cased",
    ),
    Family(
        name="Electra",
        publishers=("google",),
        models=r"electra-(small|base|large)-(discriminator|generator)",
    ),
    Family(name="Falcon", publishers=("tiiuae",), models=r"falcon-(7b|40b|180b|rw-[17]b)"),
    Family(name="GPT2", publishers=("openai-community", ""), models=r"gpt2(-medium|-large|-xl)?"),
    Family(
        name="GPT Neo, J, NeoX, Pythia",
        publishers=("eleutherai",),
        models=r"gpt-neo-[\d.]+[mb]|gpt-j-6b|gpt-neox-20b|pythia-[\d.]+[mb](-deduped)?(-v0)?",
    ),
    Family(name="InternLM", publishers=("internlm",), models=r"internlm-(7b|20b)"),
    Family(
        name=LLAMA_2,
        publishers=("meta-llama",),
        models=r"llama-(2-)?\d+b(-hf)?",
        feeds=(LLAMA_2, COLOSSAL),
        answers_licence="LicenseRef-llama2",
    ),
    Family(name="Mistral", publishers=("mistralai",), models=r"mistral-7b-v0\.1"),
    Family(name="MPT", publishers=("mosaicml",), models=r"mpt-\d+b(-8k)?"),
    Family(name="OpenLLaMA", publishers=("openlm-research",), models=r"open_llama_\d+b(_v2)?"),
    Family(name="OPT", publishers=("facebook",), models=r"opt-[\d.]+[mb]"),
    Family(name="Persimmon", publishers=("adept",), models=r"persimmon-8b-base"),
    Family(
        name="Qwen",
        publishers=("qwen",),
        models=r"qwen-(1_8b|7b|14b|72b)",
        feeds=("Qwen",),
        answers_licence="LicenseRef-tongyi-qianwen",
    ),
    Family(
        name="RedPajama base",
        publishers=("togethercomputer",),
        models=r"redpajama-incite-(base-[37]b-v[\d.]+|7b-base)",
    ),
    Family(name="RoBERTa", publishers=("facebookai", ""), models=r"(xlm-)?roberta-(base|large)"),
    Family(
        name="T5",
        publishers=("google-t5", "google", ""),
        models=r"t5-(small|base|large|3b|11b)|t5-v1_1-(small|base|large|xl|xxl)",
    ),
    Family(name="UL2", publishers=("google",), models=r"ul2"),
)

TUNED = re.compile(r"instruct|chat|flan|bloomz|opt-iml|sft|dpo|rlhf")
"""What tuned models' names show, for the message only."""

OPEN = frozenset(
    "Apache-2.0 BSD-2-Clause BSD-3-Clause CC-BY-2.0 CC-BY-2.5 CC-BY-3.0 CC-BY-4.0 CC-BY-SA-2.0 "
    "CC-BY-SA-2.5 CC-BY-SA-3.0 CC-BY-SA-4.0 CC0-1.0 CDLA-Permissive-1.0 CDLA-Permissive-2.0 "
    "CDLA-Sharing-1.0 GPL-2.0-only GPL-2.0-or-later GPL-3.0-only GPL-3.0-or-later ISC MIT MIT-0 "
    "MPL-2.0 ODC-By-1.0 ODbL-1.0 PDDL-1.0 Unlicense".lower().split()
)
"""SPDX identifiers, in lower case, of licences that let anyone use data for any purpose."""

NAMED = frozenset(
    "allenai/dolma databricks/databricks-dolly-15k GAIR/lima OpenAssistant/oasst1 "
    "togethercomputer/RedPajama-Data-1T".lower().split()
)
"""Hub datasets, in lower case, that the organisers name as allowed; LIMA though it is not open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule, where it is written, and what breaks it."""

    says: str
    page: str
    breaches: Callable[[Study], Iterator[str]]
    """What is wrong and what to do, for each breach."""


def family_of(model: str, *, any_publisher: bool = False) -> Family | None:
    """The family on the list that a base model belongs to; None for tuned and all other models.

    Args:
        model: a hub id, or a local folder whose path ends like one.
        any_publisher: also accept a name without its publisher.
    """
    *before, name = model.lower().replace(" ", "-").strip("/").split("/")
    publisher = before[-1] if before else ""
    for family in FAMILIES:
        published = publisher in family.publishers or (any_publisher and not publisher)
        if published and re.fullmatch(family.models, name):
            return family
    return None


def check(study: Study) -> None:
    """Raise BadInput, naming source and rule, unless a study keeps the challenge's rules."""
    for rule in RULES:
        for breach in rule.breaches(study):
            raise BadInput(f"study {study.name}: {breach} (rule: {rule.says}, {rule.page})")


def _base_model(study: Study) -> Iterator[str]:
    if family_of(study.model) is None:
        if TUNED.search(study.model.lower()):
            yield f"{study.model} is instruction-tuned; choose a base model"
        else:
            yield (
                f"{study.model} is not on the list; choose one that is, such as "
                "mistralai/Mistral-7B-v0.1, and let a local folder's path end in PUBLISHER/NAME"
            )


def _undeclared(study: Study) -> Iterator[str]:
    for source in _downloaded(study):
        facts = {"licence": source.licence, "made_by": source.made_by}
        missing = [name for name, value in facts.items() if value is None]
        if missing and not _named(source):
            yield (
                f"the source {source.name!r} does not say its {' and '.join(missing)}; declare "
                f"what is true in a study file: Source(name={source.name!r}, origin=..., "
                "licence='MIT', made_by='human')"
            )


def _closed(study: Study) -> Iterator[str]:
    for source in _downloaded(study):
        maker = _maker(source)
        licence = (source.licence or "").lower()
        carried = maker and maker.answers_licence
        if licence in OPEN or _named(source) or (carried and licence == carried.lower()):
            continue
        yield (
            f"the source {source.name!r} is under {source.licence}, which is not open; choose data "
            "under an open licence (SPDX identifier), such as Apache-2.0, MIT or CC-BY-SA-4.0"
        )


def _unapproved_maker(study: Study) -> Iterator[str]:
    for source in _downloaded(study):
        if (source.made_by or "human").lower() not in NO_MODEL and _maker(source) is None:
            yield (
                f"the answers of the source {source.name!r} were made by {source.made_by}, which "
                "is no base model on the list; choose data made by people or by one that is"
            )


def _wrong_pupil(study: Study) -> Iterator[str]:
    pupil = family_of(study.model)
    for source in _downloaded(study):
        maker = _maker(source)
        if maker is None or maker.feeds is None:
            continue
        if pupil is None or pupil.name not in maker.feeds:
            yield (
                f"the source {source.name!r} was made by {source.made_by} and may not train "
                f"{study.model}; leave it out, or start from {' or '.join(maker.feeds)}"
            )
        elif (source.licence or "").lower() != (maker.answers_licence or "").lower():
            yield (
                f"the source {source.name!r} was made by {source.made_by} and must carry its "
                f"licence: licence={maker.answers_licence!r}"
            )


RULES = (
    Rule(
        says="start from a listed base model without instruction tuning",
        page=CHALLENGE,
        breaches=_base_model,
    ),
    Rule(
        says="use no proprietary data, and none that breaks anyone's terms",
        page=RULES_PAGE,
        breaches=_undeclared,
    ),
    Rule(
        says="answers that a model made must come from a listed base model",
        page=CHALLENGE,
        breaches=_unapproved_maker,
    ),
    Rule(says="use open data only", page=CHALLENGE, breaches=_closed),
    Rule(
        says="what Llama 2 or Qwen made trains only its own family, under its licence",
        page=CHALLENGE,
        breaches=_wrong_pupil,
    ),
)
"""The first that is broken is the one told."""


def _downloaded(study: Study) -> Iterator[Source]:
    """Sources but those that open generators make on the spot."""
    return (source for source in study.sources if not isinstance(source.origin, Generated))


def _named(source: Source) -> bool:
    return isinstance(source.origin, HubDataset) and source.origin.id.lower() in NAMED


def _maker(source: Source) -> Family | None:
    return family_of(source.made_by or "", any_publisher=True)
