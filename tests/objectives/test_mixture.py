"""The stream of samples and the packs made of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.mixture import MAX_PASSES, Cursor, Sample, Stream
from objectives.packing import IGNORED, batches, collate
from objectives.tokens import Tokens

WITHOUT_END = 10**9
"""More passes than any test makes."""


def make(sizes: dict[str, list[int]]) -> dict[str, list[Sample]]:
    """Samples whose answers have the given lengths."""
    return {
        name: [Sample(tuple(range(size + 2)), 2, name, row) for row, size in enumerate(values)]
        for name, values in sizes.items()
    }


def lags(stream: Stream, began: dict[str, int], names: Sequence[str]) -> dict[str, float]:
    """Tokens that each of some sources is behind its weight among them, since `began`."""
    got = {name: stream.cursor.trained[name] - began.get(name, 0) for name in names}
    weight = sum(WEIGHTS[name] for name in names)
    total = sum(got.values())
    return {name: WEIGHTS[name] / weight * total - got[name] for name in names}


WEIGHTS = {"a": 0.4, "b": 0.3, "c": 0.2, "d": 0.1}
small = st.lists(st.integers(1, 50), min_size=1, max_size=12)
four = st.fixed_dictionaries(dict.fromkeys(WEIGHTS, small))


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[dict[str, list[int]], dict[str, float]]:
    """Up to six sources of one to 300 rows, short or long or both, and weights from 0 upwards."""
    sizes, weights = {}, {}
    for name in "abcdef"[: draw(st.integers(1, 6))]:
        longest = draw(st.sampled_from([1, 10, 60]))
        rows = draw(st.lists(st.integers(1, longest), min_size=1, max_size=15))
        sizes[name] = rows * draw(st.sampled_from([1, 3, 20]))
        weights[name] = draw(st.one_of(st.just(0.0), st.floats(1e-4, 1)))
    weights["a"] = weights["a"] or 1.0
    return sizes, weights


@settings(max_examples=50, deadline=None)  # thousands of draws an example
@given(mixtures(), st.integers(0, 5))
def test_realised_shares_are_the_asked_ones(
    drawn: tuple[dict[str, list[int]], dict[str, float]], seed: int
) -> None:
    """To 1 % of all labelled tokens in a run of 230 longest samples (a step or two of real ones),
    whatever the lengths of rows and the sizes of sources; and a weight of 0 is never drawn."""
    sizes, weights = drawn
    stream = Stream(make(sizes), weights, seed, max_passes=WITHOUT_END)
    goal = 230 * max(max(values) for name, values in sizes.items() if weights[name])
    while sum(stream.cursor.trained.values()) < goal:
        assert weights[next(stream).source] > 0
    total = sum(weights.values())
    for name, share in stream.cursor.shares().items():
        assert share == pytest.approx(weights[name] / total, abs=0.01)


@settings(deadline=None)
@given(four, st.integers(1, 300))
def test_at_any_length_no_source_is_far_from_its_weight(
    sizes: dict[str, list[int]], draws: int
) -> None:
    """Ahead by one of its samples; behind by 1 + 1/2 + 1/3 of the longest, for four sources."""
    stream = Stream(make(sizes), WEIGHTS, 0, max_passes=WITHOUT_END)
    for _ in itertools.islice(stream, draws):
        pass
    longest = max(max(values) for values in sizes.values())
    for name, lag in lags(stream, {}, list(WEIGHTS)).items():
        assert -max(sizes[name]) - 1e-6 <= lag <= longest * (1 + 1 / 2 + 1 / 3) + 1e-6


def test_the_largest_of_many_sources_does_not_wait_for_all_the_others() -> None:
    """After each of 100 draws, a source that half is asked of has half, to two samples."""
    others = [f"s{number}" for number in range(19)]
    stream = Stream(
        make(dict.fromkeys(["half", *others], [10] * 50)),
        {"half": 19} | dict.fromkeys(others, 1),
        0,
    )
    for _ in itertools.islice(stream, 100):
        total = sum(stream.cursor.trained.values())
        assert abs(stream.cursor.trained["half"] - total / 2) <= 20


@settings(max_examples=30, deadline=None)
@given(four, st.booleans())
def test_shares_hold_in_the_labels_of_batches(sizes: dict[str, list[int]], packing: bool) -> None:
    """Packed or padded, a step's batches train on exactly the tokens that the cursor counts."""
    stream = Stream(make(sizes), WEIGHTS, 0, max_passes=WITHOUT_END)
    labels = dict.fromkeys(WEIGHTS, 0)
    for _ in range(10):
        samples = list(itertools.islice(stream, 20))
        for b in batches(samples, packing=packing, max_length=64, micro_tokens=256):
            for row, column in (b.labels != IGNORED).nonzero().tolist():
                labels[samples[int(b.owner[row, column])].source] += 1
    assert labels == stream.cursor.trained


@pytest.mark.parametrize("start", [0, 1, 3])
def test_a_samples_first_token_is_never_trained_on(start: int) -> None:
    """Nothing comes before it that could predict it, so it is not counted either."""
    sample = Sample(tuple(range(5)), start, "a", 0)
    labels = collate([sample], [[0]], packed=False).labels
    assert sample.trained == int((labels != IGNORED).sum())


@settings(deadline=None)
@given(four, st.integers(0, 400), st.integers(1, 3), st.booleans())
def test_a_stream_goes_on_from_any_cursor(
    sizes: dict[str, list[int]], draws: int, passes: int, shuffle: bool
) -> None:
    """Through JSON, as a checkpoint keeps it, in any round: the very same samples follow."""
    sources = make(sizes)
    whole = Stream(sources, WEIGHTS, 5, shuffle=shuffle, max_passes=passes)
    for _ in itertools.islice(whole, draws):
        pass
    kept = Cursor(**json.loads(json.dumps(asdict(whole.cursor))))
    again = Stream(sources, WEIGHTS, 5, kept, shuffle=shuffle, max_passes=passes)
    assert list(itertools.islice(again, 100)) == list(itertools.islice(whole, 100))


@settings(deadline=None)
@given(four, st.integers(1, 3), st.integers(0, 300))
def test_a_source_read_often_enough_is_left_out_until_all_are(
    sizes: dict[str, list[int]], passes: int, draws: int
) -> None:
    """No source goes over a round's passes while another has not had them; then all go on."""
    stream = Stream(make(sizes), WEIGHTS, 1, max_passes=passes)
    for _ in itertools.islice(stream, draws):
        rounds = [stream.cursor.drawn[n] / (passes * len(sizes[n])) for n in WEIGHTS]
        assert max(rounds) <= int(min(rounds)) + 1
    read = stream.passes()
    assert read == {n: stream.cursor.drawn[n] / len(sizes[n]) for n in WEIGHTS}
    assert stream.capped() == [n for n in WEIGHTS if read[n] >= passes]


@settings(deadline=None)
@given(four, st.integers(1, 3))
def test_shares_among_the_sources_left_keep_to_their_weights(
    sizes: dict[str, list[int]], passes: int
) -> None:
    """Also after some were left out, and in a second round, which makes up for nothing."""
    stream = Stream(make(sizes), WEIGHTS, 1, max_passes=passes)
    longest = max(max(values) for values in sizes.values())
    began: dict[str, int] = {}
    for ends in (1, 2):
        limits = {name: ends * passes * len(sizes[name]) for name in WEIGHTS}
        while left := [name for name in WEIGHTS if stream.cursor.drawn[name] < limits[name]]:
            assert max(map(abs, lags(stream, began, left).values())) <= len(WEIGHTS) * longest
            next(stream)
        began = dict(stream.cursor.trained)
        assert began == {n: ends * passes * sum(sizes[n]) for n in WEIGHTS}


def test_a_small_source_makes_way_for_the_others_in_their_proportions() -> None:
    """Ten rows are read four times, however much is asked of them; the others share the rest."""
    sources = make({"small": [10] * 10, "big": [10] * 9000, "bigger": [10] * 9000})
    stream = Stream(sources, {"small": 0.5, "big": 0.2, "bigger": 0.3}, 0)
    for _ in itertools.islice(stream, 10_040):
        pass
    assert stream.cursor.drawn == {"small": MAX_PASSES * 10, "big": 4000, "bigger": 6000}
    assert stream.capped() == ["small"]
    assert stream.passes()["small"] == 4.0


def test_a_round_begins_with_the_weights_not_with_what_was_missed() -> None:
    """After the big source was read alone for long, the small one gets its weight and no more."""
    sources = make({"small": [10] * 10, "big": [10] * 1000})
    stream = Stream(sources, {"small": 0.5, "big": 0.5}, 0, max_passes=1)
    first = list(itertools.islice(stream, 1010))
    assert {sample.source for sample in first[20:]} == {"big"}
    second = [sample.source for sample in itertools.islice(stream, 10)]
    assert second.count("small") == second.count("big") == 5


class Lazy(Sequence[Sample]):
    """A million rows that are made when they are asked for."""

    asked = 0

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, row):  # type: ignore[no-untyped-def]
        """The row of that number."""
        self.asked += 1
        return Sample((1, 2, 3), 1, "lazy", row)

    def trained_at(self, row: int) -> int:
        """Labelled tokens of a row, which is not made for that."""
        return 2


def test_a_source_is_not_read_to_draw_a_few_of_its_rows() -> None:
    """Rows may be tokenised or read from a file when they are drawn."""
    rows = Lazy()
    drawn = list(itertools.islice(Stream({"lazy": rows}, {"lazy": 1}, 0), 50))
    assert rows.asked == 50
    assert len({sample.row for sample in drawn}) == 50
    assert {type(sample.row) for sample in drawn} == {int}


def test_places_are_drawn_as_samples_are_and_read_nothing() -> None:
    """What a trial was trained on is told without its tokens."""
    rows = Lazy()
    stream = Stream({"lazy": rows}, {"lazy": 1}, 0)
    places = [stream.draw() for _ in range(50)]
    assert rows.asked == 0
    drawn = itertools.islice(Stream({"lazy": rows}, {"lazy": 1}, 0), 50)
    assert places == [(sample.source, sample.row) for sample in drawn]


def test_the_same_is_drawn_of_samples_and_of_arrays() -> None:
    """A source that knows its labelled tokens draws as one that is asked for its samples."""
    samples = make({"a": [3, 9, 4, 1, 12], "b": [5, 2]})
    arrays = {name: Tokens.of(name, rows) for name, rows in samples.items()}
    drawn = [list(itertools.islice(Stream(s, {"a": 2, "b": 1}, 0), 40)) for s in (samples, arrays)]
    assert drawn[0] == drawn[1]


def test_every_pass_over_a_source_takes_each_row_once_in_a_new_order() -> None:
    """No row is favoured, and passes differ."""
    stream = Stream(make({"a": [1] * 50}), {"a": 1}, 0)
    first = [s.row for s in itertools.islice(stream, 50)]
    second = [s.row for s in itertools.islice(stream, 50)]
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert first != list(range(50))


def test_orders_differ_by_seed_and_by_source() -> None:
    """Two sources of the same length are not read in step."""
    sources = make({"a": [1] * 50, "b": [1] * 50})

    def rows(name: str, seed: int) -> list[int]:
        return [s.row for s in itertools.islice(Stream(sources, {name: 1}, seed), 50)]

    assert rows("a", 0) == rows("a", 0)
    assert rows("a", 0) != rows("a", 1)
    assert rows("a", 0) != rows("b", 0)


def test_without_shuffling_rows_keep_their_order() -> None:
    """That is how a recipe is trained again from its train.jsonl."""
    stream = Stream(make({"a": [1] * 50}), {"a": 1}, 0, shuffle=False)
    assert [s.row for s in itertools.islice(stream, 50)] == list(range(50))


def test_a_stream_of_nothing_is_a_programming_error() -> None:
    """No weight, no row, or no pass."""
    for sizes, weight, passes in (([1], 0.0, 1), ([], 1.0, 1), ([1], 1.0, 0)):
        with pytest.raises(ValueError, match=r"positive weight|max_passes"):
            Stream(make({"a": sizes}), {"a": weight}, 0, max_passes=passes)
