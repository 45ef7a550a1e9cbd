"""Rows that are dropped before training, and above all those that are not."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.hygiene import LISTED, Hygiene, Reason
from objectives.lookup import Lookup
from objectives.nearly import alike
from objectives.rows import Row
from search.errors import BadInput

STORY = (
    "Every morning before school Hannah feeds the rabbits behind the old barn, and when it rains "
    "her younger brother carries the heavy bucket across the muddy yard. Yesterday he slipped near "
    "the gate, spilled half of the water and had to walk back to the well. Who carried the bucket?"
)
GROUPS = (
    "There are 12 rabbits in the barn and 7 of them are brown while the others are white (or grey) "
    "as far as anybody can tell. How many rabbits in the barn are not brown on a morning like this?"
)
SENTENCE = "My teacher asked us about this last week."


def chat(question: str, answer: str, system: str = "") -> Row:
    """A row of one question."""
    start = [{"role": "system", "content": system}] if system else []
    return {
        "messages": [
            *start,
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    }


def sift(rows: list[Row], hygiene: Hygiene | None = None) -> list[Row]:
    """What is kept of a source named a."""
    return list((hygiene or Hygiene()).sift("a", rows))


def reasons(hygiene: Hygiene, source: str = "a") -> dict[Reason, int]:
    """The reasons that dropped something."""
    return {reason: count for reason, count in hygiene.counts[source].items() if count}


def why(first: Row, second: Row) -> Reason | None:
    """Why the second of two rows is dropped."""
    hygiene = Hygiene()
    sift([first, second], hygiene)
    return next(iter(reasons(hygiene)), None)


def misspelt(count: int, first: int = 0) -> str:
    """The story with a slip in so many words, from a given one on."""
    text = STORY
    words = ("morning", "rabbits", "heavy", "slipped", "spilled", "walk", "water", "yard")
    for word in words[first : first + count]:
        text = text.replace(word, word[0] + word[2] + word[1] + word[3:])
    return text


CHANGES = (
    lambda text: text,
    lambda text: text.upper(),
    lambda text: text.replace(" ", "  \n"),
    lambda text: text.replace(",", ""),
    lambda text: text.replace("morning", "mornign"),
    lambda text: text.replace("rabbits", "rabits"),
    lambda text: f"{text} {SENTENCE}",
    lambda text: f"{SENTENCE} {text}",
    lambda text: text.replace("barn", "house"),
    lambda text: text.replace("7", "8"),
    lambda text: text.replace("old", "very old"),
    lambda text: text[:40],
    lambda text: "",
)

questions = st.builds(
    lambda text, one, other: other(one(text)),
    st.sampled_from((STORY, GROUPS, "天气很好，我们去公园散步吧。你觉得怎么样？", "7")),
    st.sampled_from(CHANGES),
    st.sampled_from(CHANGES),
)
tables = st.lists(st.builds(chat, questions, st.sampled_from(("5", " 5", "Ann", ""))), max_size=30)


@given(tables)
def test_sifting_what_was_kept_drops_nothing(rows: list[Row]) -> None:
    """So a source may be sifted again at any time."""
    kept = sift(rows)
    assert sift(kept) == kept


@given(tables)
def test_kept_rows_are_the_given_ones_in_their_order(rows: list[Row]) -> None:
    """Nothing is rewritten, and of two rows the first stays."""
    kept = iter(sift(rows))
    wanted = next(kept, None)
    for row in rows:
        if row is wanted:
            wanted = next(kept, None)
    assert wanted is None


@given(tables)
def test_no_two_kept_rows_are_the_same_but_for_case_and_spacing(rows: list[Row]) -> None:
    """However they were mixed."""
    said = [" ".join(json.dumps(row).lower().replace("\\n", " ").split()) for row in sift(rows)]
    assert len(set(said)) == len(said)


@given(tables)
def test_kept_and_dropped_rows_are_all_rows(rows: list[Row]) -> None:
    """Each row that is not kept is counted once."""
    hygiene = Hygiene()
    kept = sift(rows, hygiene)
    assert len(kept) + sum(hygiene.counts["a"].values()) == len(rows)


@settings(max_examples=50)
@given(tables, st.integers(1, 4000))
def test_the_size_of_batches_changes_nothing(rows: list[Row], size: int) -> None:
    """Neither what is kept nor what is reported."""
    whole, parted = Hygiene(), Hygiene(batch=size)
    assert sift(rows, whole) == sift(rows, parted)
    assert whole.counts == parted.counts
    assert whole.examples == parted.examples


def test_the_result_does_not_depend_on_the_process(tmp_path: Path) -> None:
    """Python's own hashes differ from process to process."""
    code = (
        "import json, sys; from objectives.hygiene import Hygiene\n"
        "rows = json.loads(sys.stdin.read()); hygiene = Hygiene()\n"
        "kept = list(hygiene.sift('a', rows))\n"
        "print(json.dumps([kept, hygiene.counts, [str(e) for e in hygiene.examples]]))"
    )
    rows = [chat(change(text), "5") for text in (STORY, GROUPS) for change in CHANGES]
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(rows),
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert found[0] == found[1]
    assert '"near": 0' not in found[0]


def test_rows_are_read_as_they_are_needed() -> None:
    """A source may be larger than memory."""
    endless: Iterator[Row] = (chat(f"What is {n}?", str(n)) for n in itertools.count())
    assert len(list(itertools.islice(Hygiene(batch=99).sift("a", endless), 20))) == 20


@pytest.mark.parametrize(
    "row",
    [
        chat("Why?", ""),
        chat("Why?", " \n\t"),
        chat("Why?", "\u200b"),
        chat("", "Because."),
        chat(" \u200b ", "Because."),
        chat("", "Because.", system="Be kind."),
        {"messages": [{"role": "user", "content": "Why?"}]},
        {"messages": [{"role": "assistant", "content": "Because."}]},
    ],
)
def test_a_row_without_question_or_answer_is_empty(row: Row) -> None:
    """Whatever is not seen counts as nothing."""
    hygiene = Hygiene()
    assert sift([row], hygiene) == []
    assert reasons(hygiene) == {Reason.EMPTY: 1}


@pytest.mark.parametrize(
    "row",
    [
        chat("What is 3 + 4?", "7"),
        chat("3+4", "7"),
        chat("1+1等于几？", "二"),
        chat("ดี", "ก"),
        chat("爱", "L", system="Translate."),
        chat("Is it?", "."),
        chat("How do you feel?", "😀"),
    ],
)
def test_an_answer_of_one_character_is_right(row: Row) -> None:
    """In any script, and after the shortest question."""
    assert sift([row]) == [row]


def test_lengths_are_counted_in_characters() -> None:
    """A script without spaces has no words to count; spaces in a row are one."""
    hygiene = Hygiene(shortest=4, longest=12)
    kept = [chat("今天好吗", "很好"), chat("How  now?", "x" * 4)]
    assert sift([*kept, chat("天好吗", "很好"), chat("今天好吗", "很" * 9)], hygiene) == kept
    assert reasons(hygiene) == {Reason.SHORT: 1, Reason.LONG: 1}


def test_a_single_character_is_no_question_and_a_long_row_is_no_conversation() -> None:
    """By default only broken rows are too short or too long."""
    assert why(chat(STORY, "Yes"), chat("?", "Yes")) is Reason.SHORT
    assert why(chat(STORY, "Yes"), chat("Why?", "word " * 50_000)) is Reason.LONG
    assert why(chat(STORY, "Yes"), chat("Why?", "word " * 30_000)) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("What is a fox?", "what  IS\na fox?\n"),
        ("Straße", "STRASSE"),
        ("café au lait", "cafe\u0301 au lait"),
        ("ＡＢＣ １２", "abc 12"),
        ("𝐀𝐁𝐂", "abc"),
        ("2 + 3", "2\u00a0+ 3"),
    ],
)
def test_case_spacing_and_the_forms_of_letters_make_no_other_row(first: str, second: str) -> None:
    """Nor does it matter whether it is the question or the answer."""
    assert why(chat(first, "Yes"), chat(second, "yes")) is Reason.EXACT
    assert why(chat("Say it.", first), chat("Say it.", second)) is Reason.EXACT


def test_the_same_question_with_another_answer_role_or_system_message_stays() -> None:
    """A conversation is all that is said in it, and by whom."""
    said = [("user", "Hi there"), ("assistant", "Hello")]
    rows: list[Row] = [
        {"messages": [{"role": role, "content": text} for role, text in turns]}
        for turns in (
            said,
            [("user", "Hi there"), ("assistant", "Hello you")],
            [("system", "Be kind."), *said],
            [("user", "Be kind."), *said],
            [("user", "Hi"), ("user", "there"), ("assistant", "Hello")],
            [*said, *said],
        )
    ]
    assert sift(rows) == rows


@pytest.mark.parametrize(
    "changed",
    [
        STORY.replace(",", "").rstrip("?"),
        STORY.replace("bucket?", "“bucket”!"),
        STORY.replace("morning", "mornign"),
        misspelt(3),
        f"{SENTENCE} {STORY}",
        f"{STORY} {SENTENCE}",
        STORY.replace("yard. ", f"yard. {SENTENCE} "),
        STORY.replace("Yesterday", f"Yesteday {SENTENCE}"),
        STORY.replace("the gate", "the\u200b gate"),
    ],
)
def test_slips_marks_and_an_added_sentence_make_a_near_duplicate(changed: str) -> None:
    """Whichever of both rows comes first."""
    assert why(chat(STORY, "Her brother"), chat(changed, "her brother.")) is Reason.NEAR
    assert why(chat(changed, "her brother."), chat(STORY, "Her brother")) is Reason.NEAR


@pytest.mark.parametrize(
    "changed",
    [
        STORY.replace("old", "new"),
        STORY.replace("Who carried", "Who never carried"),
        STORY.replace("Who carried", "Who did not mean to have carried"),
        STORY.replace("carried", "dropped"),
        STORY.replace("Hannah", "Joanna"),
        STORY.replace("her", "his"),
        STORY.replace("the heavy bucket across the muddy yard", "the muddy bucket across the yard"),
        STORY.replace("bucket", "buckets"),
        STORY.replace("old", "odd"),
        STORY.replace("walk", "work"),
        misspelt(4),
        misspelt(4, 4),
        f"{STORY} He was cold, wet and sorry for himself, and nobody came to help him at all.",
        f"{STORY} It is 5 o'clock and all of us are waiting.",
        f"{STORY} It is late (or early) and all of us are waiting.",
        STORY[:-24],
    ],
)
def test_another_or_a_single_word_makes_another_row(changed: str) -> None:
    """A template's rows differ by no more, and often have the same answer."""
    assert why(chat(STORY, "Unknown"), chat(changed, "Unknown")) is None
    assert why(chat(changed, "Unknown"), chat(STORY, "Unknown")) is None


def test_only_one_of_two_rows_may_say_more() -> None:
    """One more before and the other after, or in another message."""
    first, second = f"{SENTENCE} {STORY}", f"{STORY} Think about all of it before you answer me."
    assert why(chat(first, "Unknown"), chat(second, "Unknown")) is None
    kind, kinder = "Be kind.", "Be kind. Think before you answer me."
    longer = f"{STORY} We read it together in class."
    assert why(chat(longer, "No", kind), chat(STORY, "No", kinder)) is None
    assert why(chat(STORY, "No", kind), chat(longer, "No", kinder)) is Reason.NEAR


def test_what_a_row_says_more_has_no_number_or_sign() -> None:
    """The rule holds by itself, whichever rows it is asked about."""
    words = STORY.lower().split()
    assert alike((words, ["no"]), ([*words, "nobody", "knows", "his", "mother"], ["no"]))
    assert not alike((words, ["no"]), ([*words, "nobody", "knows", "his", "mother", "5"], ["no"]))


@settings(max_examples=200)
@given(st.data())
def test_rows_that_differ_in_a_number_or_sign_are_no_near_duplicates(data: st.DataObject) -> None:
    """Even if all else is the same, the answer too."""
    text = data.draw(st.sampled_from((f"{GROUPS} 2 + 3 = ?", f"{STORY} Take 3.5 % of {GROUPS}")))
    places = [n for n, sign in enumerate(text) if sign.isdigit() or sign in "+=%()"]
    place = data.draw(st.sampled_from(places))
    other = data.draw(st.sampled_from([*"0123456789+-*/=<>%([{#|", "١", "७", "", "12"]))
    changed = text[:place] + other + text[place + 1 :]
    same = " ".join(changed.split()) == text
    assert why(chat(text, "5"), chat(changed, "5")) is (Reason.EXACT if same else None)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            "Is ( [ ] ) balanced? Look at each of the brackets.",
            "Is ( [ ) ] balanced? Look at each of the brackets.",
        ),
        ("Who wins?\n. . X\n. O .\n. . .", "Who wins?\n. X .\n. O .\n. . ."),
        ("Compute 5! for me.", "Compute 5 for me."),
        ("Is 3.5 much more?", "Is 3 5 much more?"),
        ("What is 2 + 3 = ?", "What is 2 - 3 = ?"),
        ("Is a&&b true?", "Is a||b true?"),
        ("What is the time at 5:30?", "What is the time at 53:0?"),
    ],
)
def test_signs_that_are_no_punctuation_of_prose_are_content(first: str, second: str) -> None:
    """Puzzles, code and formulas are made of them."""
    assert why(chat(first, "Yes"), chat(second, "Yes")) is None


def test_short_messages_must_agree_word_for_word() -> None:
    """In a few words a letter is the question; in an answer it is the answer."""
    assert why(chat("Where is Irun found?", "Here"), chat("Where is Iran found?", "Here")) is None
    assert why(chat(STORY, "It was Marta"), chat(STORY, "It was Maria")) is None
    assert why(chat(STORY, "It was Marta"), chat(STORY, "It was Marta!")) is Reason.NEAR


def test_long_answers_may_have_slips_but_nothing_added() -> None:
    """What comes last in an answer is often its result."""
    assert (
        why(chat("Tell it.", STORY), chat("Tell it.", STORY.replace("bar", "bra"))) is Reason.NEAR
    )
    assert why(chat("Tell it.", STORY), chat("Tell it.", f"{STORY} {SENTENCE}")) is None


@pytest.mark.parametrize(
    ("text", "same", "other"),
    [
        (
            "小明和小红每天早上一起去学校，下雨的时候他们坐公共汽车，不下雨的时候走路。谁每天去学校？",
            "小明和小红每天早上一起去学校。下雨的时候他们坐公共汽车 不下雨的时候走路。谁每天去学校",
            "小明和小红每天早上一起去学校，下雨的时候他们坐公共汽车，不下雪的时候走路。谁每天去学校？",
        ),
        (
            "สมชายกับสมหญิงไปโรงเรียนด้วยกันทุกเช้า ใครไปโรงเรียน",
            "สมชาย กับ สมหญิง ไปโรงเรียนด้วยกันทุกเช้า ใครไปโรงเรียน?",
            "สมชายกับสมหญิงไปโรงเรียนด้วยกันทุกเข้า ใครไปโรงเรียน",
        ),
        (
            "राम और सीता हर सुबह साथ में स्कूल जाते हैं। कौन जाता है?",
            "राम और सीता हर सुबह, साथ में स्कूल जाते हैं। कौन जाता है",
            "राम और गीता हर सुबह साथ में स्कूल जाते हैं। कौन जाता है?",
        ),
        (
            "Анна и Борис каждое утро вместе ходят в школу, а потом идут домой. Кто ходит?",
            "Анна и Борис каждое утро вмсете ходят в школу а потом идут домой. Кто ходит",
            "Анна и Борис каждое утро вместе ходят в школу, а потом идут гулять. Кто ходит?",
        ),
    ],
)
def test_other_scripts_follow_the_same_rule(text: str, same: str, other: str) -> None:
    """In those without capitals one letter is never a slip."""
    assert why(chat(text, "A"), chat(same, "A")) is Reason.NEAR
    assert why(chat(text, "A"), chat(other, "A")) is None


def test_near_duplicates_stay_if_asked() -> None:
    """Then only the same conversation is dropped."""
    hygiene = Hygiene(near=False)
    rows = [chat(STORY, "5"), chat(STORY.replace("morning", "moning"), "5"), chat(STORY, " 5")]
    assert sift(rows, hygiene) == rows[:2]
    assert reasons(hygiene) == {Reason.EXACT: 1}


def test_a_near_duplicate_is_found_among_many_rows_of_its_template() -> None:
    """Rows that look alike and are not do not hide the one that is."""
    rows = [chat(f"{STORY} Add {n} to it.", "No") for n in range(50)]
    assert sift([*rows, chat(f"{misspelt(2)} Add 49 to it.", "No")]) == rows


def test_of_several_earlier_rows_the_first_is_named() -> None:
    """The two are too different to be near each other."""
    hygiene = Hygiene()
    sift([chat(misspelt(n, first), "No") for n, first in ((3, 0), (3, 3), (0, 0))], hygiene)
    assert [(e.row, e.reason, e.earlier) for e in hygiene.examples] == [(2, Reason.NEAR, ("a", 0))]


def test_of_several_sources_the_earlier_one_wins() -> None:
    """Counts are per source, and an example names the row that was kept."""
    hygiene = Hygiene(batch=1)
    changed = chat(STORY.replace("morning", "moning"), "No")
    assert list(hygiene.sift("a", [chat("Hi you", "Hi"), chat("", "Hi"), chat(STORY, "No")]))
    assert list(hygiene.sift("b", [changed, chat("hi you", "Hi"), changed])) == []
    assert reasons(hygiene, "a") == {Reason.EMPTY: 1}
    assert reasons(hygiene, "b") == {Reason.NEAR: 1, Reason.EXACT: 2}
    found = [(e.source, e.row, e.reason, e.earlier) for e in hygiene.examples]
    assert found == [
        ("a", 1, Reason.EMPTY, None),
        ("b", 0, Reason.NEAR, ("a", 2)),
        ("b", 1, Reason.EXACT, ("a", 0)),
        ("b", 2, Reason.EXACT, ("a", 2)),  # the same as b's first, in whose place a's stayed
    ]


def test_a_few_examples_are_listed_for_each_reason() -> None:
    """The first ones, with a short text."""
    hygiene = Hygiene(examples=2)
    list(hygiene.sift("a", [chat(STORY, "No")] * 6 + [chat(STORY, "")]))
    assert [(e.row, e.reason) for e in hygiene.examples] == [
        (1, Reason.EXACT),
        (2, Reason.EXACT),
        (6, Reason.EMPTY),
    ]
    assert all(len(e.text) == LISTED and STORY.startswith(e.text[:-1]) for e in hygiene.examples)


def test_settings_that_leave_nothing_and_a_source_given_twice_are_refused() -> None:
    """Before a row is read."""
    with pytest.raises(BadInput, match="least length"):
        Hygiene(shortest=10, longest=5)
    hygiene = Hygiene()
    hygiene.sift("a", [])
    with pytest.raises(ValueError, match="sifted before"):
        hygiene.sift("a", [])


@given(
    st.lists(st.lists(st.integers(0, 12), max_size=20), max_size=8),
    st.integers(1, 4),
)
def test_a_lookup_gives_the_first_numbers_of_a_key(groups: list[list[int]], most: int) -> None:
    """As a dictionary of lists would, however the keys came in."""
    lookup, number = Lookup(), 0
    wanted: dict[int, list[int]] = {}
    for group in groups:
        for offset, key in enumerate(group):
            wanted.setdefault(key, []).append(number + offset)
        keys = np.array(group, np.uint64)
        lookup.add(keys, np.arange(number, number + len(group), dtype=np.int32))
        number += len(group)
    found = lookup.find(np.arange(14, dtype=np.uint64), most)
    assert found == {key: numbers[:most] for key, numbers in wanted.items()}
