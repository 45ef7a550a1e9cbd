"""The stream of samples and the packs made of it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.mixture import Cursor, Sample, Stream
from objectives.packing import IGNORED, batches, collate, pack

lengths = st.lists(st.integers(1, 64), min_size=1, max_size=40)


def make(sizes: dict[str, list[int]]) -> dict[str, list[Sample]]:
    """Samples whose answers have the given lengths."""
    return {
        name: [Sample(tuple(range(size + 2)), 2, name, row) for row, size in enumerate(values)]
        for name, values in sizes.items()
    }


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=20),
    st.lists(st.integers(1, 30), min_size=1, max_size=20),
    st.floats(0.05, 0.95),
    st.integers(1, 300),
)
def test_realised_shares_stay_within_one_sample_of_the_asked_ones(
    a: list[int], b: list[int], share: float, draws: int
) -> None:
    """At any length, however long the samples are."""
    stream = Stream(make({"a": a, "b": b}), {"a": share, "b": 1 - share}, 0)
    for _ in itertools.islice(stream, draws):
        pass
    total = sum(stream.cursor.trained.values())
    assert abs(stream.cursor.trained["a"] - share * total) <= max(a + b)


def test_a_stream_goes_on_from_its_cursor() -> None:
    """Ten draws and ten more are the same twenty samples."""
    sources = make({"a": [3, 4, 5], "b": [7, 8]})
    whole = list(itertools.islice(Stream(sources, {"a": 1, "b": 2}, 5), 20))
    first = Stream(sources, {"a": 1, "b": 2}, 5)
    start = list(itertools.islice(first, 10))
    cursor = Cursor(drawn=dict(first.cursor.drawn), trained=dict(first.cursor.trained))
    rest = list(itertools.islice(Stream(sources, {"a": 1, "b": 2}, 5, cursor), 10))
    assert start + rest == whole


def test_every_pass_over_a_source_takes_each_row_once_in_a_new_order() -> None:
    """No row is favoured, and passes differ."""
    stream = Stream(make({"a": [1] * 50}), {"a": 1}, 0)
    first = [s.row for s in itertools.islice(stream, 50)]
    second = [s.row for s in itertools.islice(stream, 50)]
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert first != list(range(50))


def test_without_shuffling_rows_keep_their_order() -> None:
    """That is how a recipe is trained again from its train.jsonl."""
    stream = Stream(make({"a": [1] * 50}), {"a": 1}, 0, shuffle=False)
    assert [s.row for s in itertools.islice(stream, 50)] == list(range(50))


def test_a_source_of_weight_zero_is_never_drawn() -> None:
    """And a mixture of nothing is a programming error."""
    stream = Stream(make({"a": [1], "b": [1]}), {"a": 0, "b": 1}, 0)
    assert {s.source for s in itertools.islice(stream, 20)} == {"b"}
    with pytest.raises(ValueError, match="positive weight"):
        Stream(make({"a": [1]}), {"a": 0}, 0)


@given(lengths)
def test_packs_hold_every_sample_once_and_no_pack_overflows(sizes: list[int]) -> None:
    """Packing loses and doubles nothing."""
    packs = pack(sizes, 64)
    assert sorted(i for members in packs for i in members) == list(range(len(sizes)))
    assert all(sum(sizes[i] for i in members) <= 64 for members in packs)


@given(lengths)
def test_no_two_packs_would_fit_into_one(sizes: list[int]) -> None:
    """Best fit leaves at most one pack half empty."""
    loads = sorted(sum(sizes[i] for i in members) for members in pack(sizes, 64))
    assert len(loads) < 2 or loads[0] + loads[1] > 64


def test_a_sample_larger_than_a_pack_is_refused() -> None:
    """It must have been dropped before."""
    with pytest.raises(ValueError, match="does not fit"):
        pack([65], 64)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=8), st.booleans())
def test_labels_are_the_next_tokens_of_the_answer_and_nothing_else(
    sizes: list[int], packed: bool
) -> None:
    """Each answer token is predicted once, from the position before it in its own sample."""
    samples = make({"a": sizes})["a"]
    groups = [list(range(len(samples)))] if packed else [[i] for i in range(len(samples))]
    batch = collate(samples, groups, packed=packed)
    chosen = batch.labels != IGNORED
    assert int(chosen.sum()) == sum(s.trained for s in samples)
    for row, column in chosen.nonzero().tolist():
        assert batch.owner[row, column] == batch.owner[row, column + 1]
        assert batch.labels[row, column] == batch.ids[row, column + 1]


def test_in_a_pack_no_position_sees_another_sample() -> None:
    """The mask is block-diagonal and causal."""
    samples = make({"a": [3, 5]})["a"]
    batch = collate(samples, [[0, 1]], packed=True)
    assert batch.mask is not None
    for query, key in batch.mask[0, 0].nonzero().tolist():
        assert batch.owner[0, query] == batch.owner[0, key]
        assert key <= query
    assert batch.positions.tolist() == [[*range(5), *range(7)]]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.booleans())
def test_batches_cover_all_samples_within_the_memory_limit(sizes: list[int], packing: bool) -> None:
    """Splitting a step into batches changes neither its samples nor its labels."""
    samples = make({"a": sizes})["a"]
    made = batches(samples, packing=packing, max_length=64, micro_tokens=128)
    owners = {owner for b in made for owner in b.owner.flatten().tolist() if owner >= 0}
    assert owners == set(range(len(samples)))
    assert sum(b.tokens for b in made) == sum(len(s.ids) for s in samples)
    assert all(b.ids.numel() <= 128 or b.ids.shape[0] == 1 for b in made)
