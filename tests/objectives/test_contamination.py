"""Overlap of training rows with evaluation items: what is found, and what is no evidence."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.contamination import Index, Overlap, drop, normalise
from objectives.rows import Row, prompt_key, to_item
from objectives.sources import read
from studies.study import LocalFile

GSM8K = Path(__file__).parents[3] / "shared" / "data" / "gsm8k"


def chat(*said: str, system: str | None = None) -> Row:
    """A row in which user and assistant take turns."""
    start = [{"role": "system", "content": system}] if system else []
    turns = [
        {"role": ("user", "assistant")[number % 2], "content": text}
        for number, text in enumerate(said)
    ]
    return {"messages": start + turns}


def items(*rows: Row, task: str = "task") -> list[Row]:
    """Items of one task, numbered from 0."""
    return [to_item(row, task, number) for number, row in enumerate(rows)]


def prose(seed: int, count: int) -> str:
    """So many words that no other seed has."""
    rng = random.Random(seed)
    return " ".join(f"w{seed}x{rng.randrange(10_000)}" for _ in range(count))


def found(index: Index, row: Row) -> Overlap | None:
    """The overlap of a row of which no more needs to be told."""
    return index.find(row, "source", 0)


def dropped(rows: list[Row], source: str, index: Index) -> tuple[list[Row], list[Overlap]]:
    """(rows that stay, overlaps of the others)."""
    overlaps: list[Overlap] = []
    return list(drop(iter(rows), source, index, overlaps)), overlaps


letters = st.text("abcdefghij", min_size=1, max_size=4)
sentences = st.lists(letters, min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("What is THIS?", "  what\nis, this "),
        ("don’t", "don't"),
        ("don't", "dont"),
        ("ＡＢＣ １２", "abc 12"),
        ("Straße", "STRASSE"),
        ("e\u0301t\u00e9", "été"),
        ("a ten-year-old", "a ten year old"),
        ("**5** eggs", "5 eggs"),
        ("2+2=?", "2 + 2 = ?"),
        ("3 − 4", "3   - 4"),
        ("$5", "5€"),
        ("in\u00advisible \u200bword", "invisible word"),
        ("❤\ufe0f", "❤"),
        ("null\0é", "null é"),
    ],
)
def test_case_punctuation_and_spacing_do_not_count(first: str, second: str) -> None:
    """Two spellings of one question have the same words."""
    assert normalise(first) == normalise(second) != []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("3 + 4", "3 - 4"),
        ("3*4", "3/4"),
        ("-1 / 1", "1 / 1"),
        ("3 - -4", "3 - 4"),
        ("6 ÷ 2", "6 × 2"),
        ("👍", "👎"),
        ("การ", "กร"),
        ("मैं", "में"),
    ],
)
def test_signs_that_carry_the_meaning_do_count(first: str, second: str) -> None:
    """Another operator, sign, emoji or vowel mark makes another question."""
    assert normalise(first) != normalise(second)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("第3章abc的。", ["第", "3", "章", "abc", "的"]),
        ("猫が好き", ["猫", "が", "好", "き"]),
        ("มี3ลูก", ["มี", "3", "ลู", "ก"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("?! … ()", []),
    ],
)
def test_words_of_scripts_with_and_without_spaces(text: str, words: list[str]) -> None:
    """Where no space parts words each letter is one, with its marks; elsewhere spaces part them."""
    assert normalise(text) == words


@given(st.text())
def test_any_text_has_words_without_spaces_and_capitals(text: str) -> None:
    """Words are not empty, hold no space and are the same in lower case, whatever the text."""
    for word in normalise(text):
        assert word.split() == [word]
        assert "\0" not in word
        assert word.isascii() is False or word == word.lower()


@given(
    st.lists(sentences, min_size=1, max_size=4),
    st.data(),
)
def test_a_respelled_question_is_found(questions: list[list[str]], data: st.DataObject) -> None:
    """An exact duplicate is found however short, whatever its case, punctuation and spacing."""
    known = items(*(chat(" ".join(words), f"reply {n}") for n, words in enumerate(questions)))
    words = data.draw(st.sampled_from(questions))
    gaps = st.sampled_from([" ", "  ", "\n", ", ", "? ", " (", ' "', "; ", "... "])
    spelled = "".join(
        (word.upper() if data.draw(st.booleans()) else word) + data.draw(gaps) for word in words
    )
    overlap = found(Index(known), chat(spelled, "another reply"))
    # Where items share a question it is no evidence (below), unless it is spelled alike.
    if questions.count(words) == 1:
        assert overlap is not None
        assert (overlap.kind, overlap.item) == ("exact", questions.index(words))


@given(sentences, sentences, st.integers(0, 40), st.integers(0, 40), st.data())
def test_13_words_of_an_item_are_found_anywhere(
    before: list[str], after: list[str], length: int, start: int, data: st.DataObject
) -> None:
    """13 words in a row of any item's question or answer are found in any place of any row."""
    rows = [chat(prose(seed, 20 + length), prose(seed + 100, 5)) for seed in range(8)]
    which = data.draw(st.integers(0, 7))
    text = " ".join(message["content"] for message in rows[which]["messages"]).split()
    start = min(start, len(text) - 13)
    part = text[start : start + 13]
    index = Index(items(*rows))
    words = [*before, *part, *after]
    whole = " ".join(words)
    cut = data.draw(st.integers(0, len(words)))
    parted = chat(" ".join(words[:cut]), " ".join(words[cut:]))
    for row in (chat(whole, "yes"), chat("q", whole), parted):
        overlap = found(index, row)
        assert overlap is not None
        assert (overlap.kind, overlap.item, overlap.text) == ("13-gram", which, " ".join(part))
    assert found(index, chat(" ".join([*before, *part[1:], *after]), "yes")) is None


@given(
    st.lists(st.sampled_from("ab"), min_size=1, max_size=40),
    st.lists(st.sampled_from("ab"), min_size=1, max_size=60),
)
def test_just_the_rows_that_share_13_words_are_found(item: list[str], row: list[str]) -> None:
    """A row is kept exactly if no 13 words in a row are the item's too and its question differs."""
    index = Index(items(chat(" ".join(item), "reply")))
    known = " ".join([*item, "reply"])
    grams = [" ".join(row[at : at + 13]) for at in range(len(row) - 12)]
    shares = any(f" {gram} " in f" {known} " for gram in grams)
    assert (found(index, chat(" ".join(row), "no")) is not None) == (shares or row == item)


def test_another_sum_is_another_question() -> None:
    """Operators tell questions apart, but are no words of a 13-gram."""
    index = Index(items(chat("Add up: 12 + 34 - 5 + 6 =", "47")))
    assert found(index, chat("Add up: 12 - 34 + 5 + 6 =", "-11")) is None
    assert found(index, chat("add up 12+34-5+6=", "x")) is not None
    sums = Index(items(chat("1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 =", "36")))
    assert found(sums, chat("Again: 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 =", "36")) is None


def test_system_messages_do_not_count() -> None:
    """What the system message says is no overlap, and hides none."""
    system = prose(1, 30)
    index = Index(items(chat("What is it?", "five", system=system)))
    assert found(index, chat("Another one?", "five", system=system)) is None
    assert found(index, chat(system, "five")) is None
    assert found(index, chat("Another one?", "six", system="What is it? five")) is None
    assert found(index, chat("what is it", "six", system=system)) is not None
    assert found(index, chat("what", "is it? five", system=system)) is not None


def test_examples_before_an_items_question_do_not_count() -> None:
    """Only the last user message is asked; examples before it may be trained on."""
    index = Index(items(chat(prose(1, 20), "one", prose(2, 20), "two")))
    assert found(index, chat(prose(1, 20), "one")) is None
    assert found(index, chat(prose(2, 20), "?")) is not None


def test_each_user_message_of_a_conversation_is_looked_up() -> None:
    """A question in the midst is found; a short one only if the reply holds the answer."""
    question = "What is the capital of France?"
    index = Index(items(chat(question, "Paris"), chat("Go on.", "It ends well.")))
    overlap = found(index, chat("Hello", "Hi", question, "It is Paris.", "Thanks", "Bye"))
    assert overlap is not None
    assert (overlap.kind, overlap.item) == ("exact", 0)
    assert found(index, chat("A story, please.", "Once ...", "Go on.", "A hare ...")) is None
    assert found(index, chat("Go on.", "A hare ...")) is not None
    long = Index(items(chat(prose(1, 13), "one")))
    overlap = found(long, chat("Hello", "Hi", prose(1, 13), "two"))
    assert overlap is not None
    assert overlap.kind == "exact"


def test_a_reply_does_not_hold_an_answer_without_words() -> None:
    """A short message in a conversation is none of an item's whose answer is a mere sign."""
    index = Index(items(chat("Go on.", "...")))
    assert found(index, chat("A story, please.", "Once ...", "Go on.", "A hare ...")) is None


def test_an_items_whole_conversation_is_an_overlap() -> None:
    """A row in which the user says all that the item's user says asks the same."""
    index = Index(items(chat("Who wrote Emma?", "Jane Austen", "When?", "1815")))
    assert found(index, chat("who wrote Emma", "She did.", "when", "In 1814.")) is not None
    assert found(index, chat("Who wrote Ulysses?", "James Joyce", "When?", "In 1922.")) is None


def test_question_and_answer_in_one_message_are_found() -> None:
    """A short item is found where the row does not part its question from its answer."""
    index = Index(items(chat("Who wrote Emma?", "Jane Austen")))
    for row in (
        chat("Who wrote Emma? Jane Austen", "Right."),
        chat("Complete this.", "Who wrote Emma? Jane Austen!"),
        chat("Who wrote", "Emma? Jane Austen"),
    ):
        overlap = found(index, row)
        assert overlap is not None
        assert overlap.kind == "exact"
    assert found(index, chat("Jane Austen", "Jane Austen")) is None


def test_exact_comes_before_a_13_gram() -> None:
    """A row that quotes one item and asks another is listed with the one that it asks."""
    index = Index(items(chat(prose(1, 20), "one"), chat("Short?", "two")))
    overlap = found(index, chat("Short?", prose(1, 20)))
    assert overlap is not None
    assert (overlap.kind, overlap.item) == ("exact", 1)


@pytest.mark.parametrize("count", [2, 3, 5, 12, 100])
@pytest.mark.parametrize("words", [6, 12, 13, 40])
def test_an_instruction_that_all_prompts_share_is_no_overlap(count: int, words: int) -> None:
    """Rows with the items' own instruction are kept, whatever the first word and the answer."""
    first, last = prose(1, words), prose(2, words)

    def row(seed: int) -> Row:
        return chat(f"{first} the {prose(seed, 5)} {last}", str(seed % 100))

    index = Index(items(*(row(1000 + n) for n in range(count))))
    rows = [row(2000 + n) for n in range(200)]
    assert dropped(rows, "source", index) == (rows, [])
    planted = chat(f"{prose(3, 9)} the {prose(1000, 5)} {last}", "0")
    assert found(index, row(1000)) is not None
    assert found(index, planted) is None  # five words are an item's own: too few


@pytest.mark.parametrize(("own", "dropped"), [(7, False), (8, True)])
def test_more_than_half_of_13_words_must_be_the_items_own(own: int, dropped: bool) -> None:
    """Eight words beside a shared instruction are evidence, seven are none."""
    last = prose(1, 20)
    index = Index(items(*(chat(f"{prose(100 + n, own)} {last}", "ok") for n in range(20))))
    overlap = found(index, chat(f"So: {prose(103, own)} {last}", "ok"))
    assert (overlap is not None) == dropped


@pytest.mark.parametrize(("words", "dropped"), [(3, True), (4, False)])
def test_shared_phrases_of_three_words_are_ordinary_language(words: int, dropped: bool) -> None:
    """Three shared words between names and numbers make no template, four do."""

    def text(seed: int) -> str:
        return " ".join(f"{prose(k, words)} {prose(seed + k, 2)}" for k in range(6))

    index = Index(items(*(chat(text(100 * n), "ok") for n in range(1, 21))))
    overlap = found(index, chat(f"So: {text(300)}", "ok"))
    assert (overlap is not None) == dropped


def test_what_several_tasks_share_is_no_overlap() -> None:
    """Items count over all tasks: two of each of three tasks are too many."""
    shared = prose(1, 20)
    known = [
        item
        for task in range(3)
        for item in items(
            *(chat(f"{shared} {prose(100 + 10 * task + n, 9)}", "ok") for n in range(2)),
            *(chat(prose(105 + 10 * task + n, 20), "ok") for n in range(2)),
            task=str(task),
        )
    ]
    row = chat(f"{shared} {prose(999, 20)}", "ok")
    assert found(Index(known), row) is None
    assert found(Index(known[:8]), row) is not None


def test_ten_wordings_of_one_instruction_are_no_overlap() -> None:
    """Instructions need not be those of all items to be no item's own."""
    wordings = [prose(n, 20) for n in range(10)]
    rows = [chat(f"{wordings[n % 10]} {prose(1000 + n, 15)}", "ok") for n in range(100)]
    index = Index(items(*rows))
    assert found(index, chat(f"{wordings[3]} {prose(5000, 15)}", "ok")) is None
    assert found(index, chat(f"{wordings[3]} {prose(1042, 15)}", "ok")) is not None


def test_templates_of_generated_rows_are_no_overlap() -> None:
    """Rows that differ from items in names and numbers only are other questions."""

    def row(a: int, b: int) -> Row:
        return chat(
            f"Anna has {a} brothers and she also has {b} sisters. These are all the siblings that "
            f"Anna has. How many sisters do her {a} brothers have?",
            str(b + 1),
        )

    index = Index(items(*(row(n, n * n) for n in range(100, 200))))
    assert found(index, row(150, 7)) is None
    assert found(index, row(150, 22500)) is not None


def test_a_passage_with_a_few_questions_is_an_overlap() -> None:
    """Evidence is what up to five items share, or a hundredth of thousands, and no more."""
    passage = prose(1, 30)
    for total, count, dropped in ((20, 5, True), (20, 6, False), (800, 8, True), (800, 9, False)):
        asked = [chat(f"{passage} {prose(2000 + n, 6)}", "ok") for n in range(count)]
        others = [chat(prose(5000 + n, 20), "ok") for n in range(total - count)]
        index = Index(items(*asked, *others))
        assert (found(index, chat(f"{passage} Why?", "ok")) is not None) == dropped


def test_the_same_item_again_shares_nothing() -> None:
    """Items that are in several parts or tasks count once, so that their words stay evidence."""
    row = chat(prose(1, 20), "ok")
    known = [item for task in "abcdefgh" for item in items(row, row, task=task)]
    overlap = found(Index(known), chat(f"Tell me: {prose(1, 20)}", "ok"))
    assert overlap is not None
    assert (overlap.task, overlap.item) == ("a", 0)


def test_questions_that_differ_in_punctuation_only_are_compared_with_it() -> None:
    """A task on brackets loses the rows that ask the same, and no others."""
    asked = ["( [", "[ {", "{ (", "( (", "[ [", "{ {", "( [ {"]
    index = Index(items(*(chat(f"Close: {text}", ")") for text in asked)))
    assert found(index, chat("Close: ( {", ")")) is None
    overlap = found(index, chat("close:  [ {", ")"))
    assert overlap is not None
    assert (overlap.kind, overlap.item, overlap.text) == ("exact", 1, "close: [ {")


def test_what_has_no_words_overlaps_only_itself() -> None:
    """Neither an item nor a row without words or without a user message equals another."""
    answer = {"messages": chat("q", "an answer")["messages"][1:]}
    wordless = Index(items(chat("???", "!")))
    for index in (wordless, Index(items(answer))):
        for row in (chat("...", "!"), chat("?", "a"), {"messages": chat("q", "b")["messages"][1:]}):
            assert found(index, row) is None
        assert found(index, chat("an answer", "an answer")) is None
    assert found(wordless, chat("???", "a")) is not None
    assert found(Index([]), chat(prose(1, 30), "a")) is None


def test_dropped_rows_are_listed_and_the_others_kept_in_order() -> None:
    """Kept rows stay the same objects in their order; each dropped row has one line."""
    index = Index(items(chat(prose(1, 40), "one"), chat("Short?", "two")))
    rows = [
        chat(prose(5, 20), "a"),
        chat("short", "b"),
        chat(prose(6, 20), "c"),
        chat(f"So: {prose(1, 40)}", "d"),
        chat(prose(1, 40), "e"),
    ]
    kept, overlaps = dropped(rows, "mine", index)
    assert [id(row) for row in kept] == [id(rows[0]), id(rows[2])]
    assert overlaps[0] == Overlap(
        source="mine", row=1, task="task", item=1, kind="exact", text="short"
    )
    assert [(o.row, o.item, o.kind) for o in overlaps[1:]] == [(3, 0, "13-gram"), (4, 0, "exact")]
    assert len(overlaps[2].text) == 120
    assert prose(1, 40).startswith(overlaps[2].text.removesuffix("…"))


@pytest.mark.skipif(not GSM8K.is_dir(), reason=f"needs GSM8K in {GSM8K}")
def test_gsm8k_test_questions_in_its_training_rows_are_all_found() -> None:
    """Planted test questions are all found, under an instruction too, and next to nothing else."""
    train, test = (
        list(read(LocalFile(path=GSM8K / f"{part}.jsonl"), "gsm8k").rows)
        for part in ("train", "test")
    )
    instruction = "Solve this problem step by step, and end with the number alone on a line: "
    planted = [
        row if number % 2 else chat(instruction + row["messages"][0]["content"], "I can't.")
        for number, row in enumerate(test)
    ]
    rows = train + planted
    random.Random(0).shuffle(rows)
    kept, overlaps = dropped(rows, "gsm8k", Index(items(*test)))
    assert not {prompt_key(row) for row in kept} & {prompt_key(row) for row in planted}
    # 3 to 4 of the 10 are the item with other numbers, the rest stock phrases.
    assert len(overlaps) - len(planted) <= 15
