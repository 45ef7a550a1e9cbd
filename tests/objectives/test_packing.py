"""Samples in packs, rows and batches: all of them, little padding, and none sees another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from objectives.mixture import Sample
from objectives.model import answer_logits
from objectives.packing import (
    IGNORED,
    PADDING,
    Batch,
    Rows,
    arrange,
    batches,
    collate,
    pack,
    spread,
)

STEPS = ((8192, 2048), (512, 256))
"""Tokens of an optimizer step, and the longest row."""
MICRO = (1024, 16384)
"""Positions of a batch: of a CPU, and of a GPU."""


@st.composite
def bins(draw: st.DrawFn) -> tuple[list[int], int]:
    """Lengths and a size: few or many different ones, of narrow packs and of very wide ones."""
    size = draw(st.integers(1, 60))
    most = draw(st.integers(1, size))
    lengths = draw(st.lists(st.integers(1, most), max_size=60))
    scale = draw(st.sampled_from([1, 1, 10_000]))
    return [length * scale for length in lengths], size * scale


@st.composite
def steps(draw: st.DrawFn) -> dict[str, Any]:
    """One step as `arrange` takes it; some samples are longer than a batch should be."""
    longest = draw(st.integers(1, 80))
    return {
        "lengths": draw(st.lists(st.integers(1, longest), min_size=1, max_size=40)),
        "max_length": longest + draw(st.integers(0, 40)),
        "micro_tokens": draw(st.integers(8, 400)),
    }


@st.composite
def rows_of_samples(draw: st.DrawFn) -> tuple[list[Sample], Rows]:
    """Samples of random tokens, answers that begin anywhere, in rows of any order."""
    samples = []
    for number in range(draw(st.integers(1, 8))):
        ids = tuple(draw(st.lists(st.integers(1, 99), min_size=1, max_size=9)))
        samples.append(Sample(ids, draw(st.integers(0, len(ids))), "a", number))
    order = draw(st.permutations(range(len(samples))))
    cuts = sorted(draw(st.sets(st.integers(1, len(samples)))) | {0, len(samples)})
    return samples, [list(order[a:b]) for a, b in itertools.pairwise(cuts)]


def reference(lengths: list[int], size: int) -> list[int]:
    """Loads of best-fit decreasing, one length after the other."""
    loads: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [k for k, load in enumerate(loads) if load + length <= size]
        if fitting:
            loads[max(fitting, key=lambda k: loads[k])] += length
        else:
            loads.append(length)
    return sorted(loads)


def width(lengths: list[int], rows: Rows) -> int:
    """Positions of a batch's row."""
    return max(sum(lengths[i] for i in row) for row in rows)


def of_lengths(lengths: list[int], seed: int = 0, vocabulary: int = 40) -> list[Sample]:
    """Samples of random tokens; the last half of each is its answer."""
    rng = np.random.default_rng(seed)
    return [
        Sample(tuple(rng.integers(1, vocabulary, n).tolist()), n // 2, "a", k)
        for k, n in enumerate(lengths)
    ]


def stream(tokens: int, longest: int, count: int) -> Iterator[list[int]]:
    """Lengths of the samples of `count` steps: log-normal, as chats and their answers are."""
    rng = np.random.default_rng(5)
    for _ in range(count):
        step: list[int] = []
        while sum(step) < tokens:
            length = round(rng.lognormal(np.log(longest / 6), 0.9))
            step += [length] if 8 <= length <= longest else []
        yield step


@given(bins())
def test_packs_hold_every_sample_once_and_none_overflows(drawn: tuple[list[int], int]) -> None:
    """Nothing is lost or doubled; samples stay in order, and packs in that of their first."""
    lengths, size = drawn
    packs = pack(lengths, size)
    assert sorted(itertools.chain(*packs)) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in members) <= size for members in packs)
    assert all(members == sorted(members) for members in packs)
    assert packs == sorted(packs)


@given(bins())
def test_packs_are_those_of_best_fit_decreasing(drawn: tuple[list[int], int]) -> None:
    """As full, each of them, as if samples were placed one by one into the fullest that fits."""
    lengths, size = drawn
    loads = [sum(lengths[i] for i in members) for members in pack(lengths, size)]
    assert sorted(loads) == reference(lengths, size)


@given(bins())
def test_no_two_packs_would_fit_into_one(drawn: tuple[list[int], int]) -> None:
    """Best fit leaves at most one pack half empty."""
    lengths, size = drawn
    loads = sorted(sum(lengths[i] for i in members) for members in pack(lengths, size))
    assert len(loads) < 2 or loads[0] + loads[1] > size


@given(
    st.lists(st.lists(st.integers(1, 99), max_size=6), min_size=1, max_size=30),
    st.randoms(use_true_random=False),
)
def test_packs_are_at_most_eleven_ninths_of_the_fewest(pieces: list[list[int]], rng: Any) -> None:
    """The proven bound of fitting by decreasing length: full packs are cut up, so the fewest are
    known (Dosa 2007: 11/9 of them and 6/9)."""
    lengths = []
    for cuts in pieces:
        lengths += np.diff(sorted({0, *cuts, 100})).tolist()
    rng.shuffle(lengths)
    assert len(pack(lengths, 100)) <= 11 / 9 * len(pieces) + 6 / 9


@given(bins())
def test_packs_depend_on_the_lengths_only(drawn: tuple[list[int], int]) -> None:
    """The same again, and from an array as from a list."""
    lengths, size = drawn
    assert pack(lengths, size) == pack(lengths, size)
    assert pack(lengths, size) == pack(np.array(lengths, np.int32), size)  # type: ignore[arg-type]


def test_thousands_of_samples_leave_almost_no_room() -> None:
    """Less than 0.1 % of the packs of 20,000 log-normal lengths is padding."""
    lengths = list(itertools.chain(*stream(2048, 2048, 2400)))[:20_000]
    assert sum(lengths) / (2048 * len(pack(lengths, 2048))) > 0.999


@pytest.mark.parametrize(("length", "message"), [(65, "65 tokens does not fit"), (0, "no tokens")])
def test_a_length_that_cannot_be_packed_is_refused(length: int, message: str) -> None:
    """Such samples must have been dropped before."""
    with pytest.raises(ValueError, match=message):
        pack([3, length], 64)


def test_nothing_makes_no_pack_and_no_batch() -> None:
    """No samples is no error."""
    assert pack([], 64) == []
    assert batches([], packing=True, max_length=64, micro_tokens=64) == []


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 40))
def test_spread_rows_differ_by_at_most_one_sample(lengths: list[int], rows: int) -> None:
    """No row is longer than another by more than its own shortest sample; none is lost."""
    found = spread(lengths, rows)
    assert len(found) == rows
    assert sorted(itertools.chain(*found)) == list(range(len(lengths)))
    least = min(sum(lengths[i] for i in row) for row in found)
    assert all(
        sum(lengths[i] for i in row) - min(lengths[i] for i in row) <= least for row in found if row
    )


@settings(deadline=None)
@given(steps(), st.booleans())
def test_a_step_is_laid_out_once_and_within_its_limits(step: dict[str, Any], packing: bool) -> None:
    """Every sample once; batches within their positions, or of one row; rows within the longest,
    and of one sample each without packing."""
    lengths, micro = step["lengths"], step["micro_tokens"]
    layout = arrange(packing=packing, **step)
    rows = list(itertools.chain(*layout))
    assert sorted(itertools.chain(*rows)) == list(range(len(lengths)))
    for batch in layout:
        assert len(batch) == 1 or len(batch) * width(lengths, batch) <= micro
        assert width(lengths, batch) <= max(min(step["max_length"], micro), *lengths, 1)
    assert packing or all(len(row) == 1 for row in rows)


@settings(deadline=None)
@given(steps())
def test_a_packed_step_is_hardly_padded(step: dict[str, Any]) -> None:
    """However few samples it has: in every step on its own, and so in any run of them."""
    lengths = step["lengths"]
    layout = arrange(packing=True, **step)
    positions = sum(len(batch) * width(lengths, batch) for batch in layout)
    assert Fraction(positions - sum(lengths), positions) <= Fraction(str(PADDING))


@pytest.mark.parametrize("micro_tokens", MICRO)
@pytest.mark.parametrize(("tokens", "longest"), STEPS)
def test_little_padding_does_not_take_many_passes(
    tokens: int, longest: int, micro_tokens: int
) -> None:
    """Over a run, at most two passes a step more than its tokens need."""
    passes, needed = 0, 0
    for lengths in stream(tokens, longest, 50):
        layout = arrange(lengths, packing=True, max_length=longest, micro_tokens=micro_tokens)
        passes += len(layout)
        needed += -(-sum(lengths) // micro_tokens)
    assert passes <= needed + 2 * 50


def test_unpacked_rows_of_like_length_share_a_batch() -> None:
    """Even where all fit into one batch: there half of the positions would be padding."""
    positions, together, passes = 0, 0, 0
    for lengths in stream(8192, 2048, 20):
        layout = arrange(lengths, packing=False, max_length=2048, micro_tokens=65536)
        positions += sum(len(batch) * width(lengths, batch) for batch in layout)
        together += len(lengths) * max(lengths)
        passes += len(layout)
    assert positions < 0.8 * together
    assert passes <= 3 * 20


def test_samples_of_one_length_need_no_pack() -> None:
    """One pass of rows as short as they can be: attention has nothing to mask."""
    layout = arrange([64] * 32, packing=True, max_length=2048, micro_tokens=2048)
    assert [len(rows) for rows in layout] == [32]
    made = collate(of_lengths([64] * 32), layout[0], packed=True)
    assert made.mask is None


def test_a_sample_over_the_longest_row_is_refused() -> None:
    """It must have been dropped before."""
    for packing in (True, False):
        with pytest.raises(ValueError, match="65 tokens does not fit a row of 64"):
            arrange([3, 65], packing=packing, max_length=64, micro_tokens=1024)


def each(samples: list[Sample], made: Batch) -> Iterator[tuple[Sample, int, torch.Tensor]]:
    """(sample, row, columns) of every sample in a batch."""
    for index, sample in enumerate(samples):
        found = (made.owner == index).nonzero()
        if len(found):
            assert len(set(found[:, 0].tolist())) == 1
            yield sample, int(found[0, 0]), found[:, 1]


@given(rows_of_samples())
def test_a_batch_holds_each_sample_whole_with_positions_from_zero(
    drawn: tuple[list[Sample], Rows],
) -> None:
    """Ids and positions are those of the sample alone; all else is padding that is not trained."""
    samples, rows = drawn
    made = collate(samples, rows, packed=True)
    count = 0
    for sample, row, columns in each(samples, made):
        assert made.ids[row, columns].tolist() == list(sample.ids)
        assert made.positions[row, columns].tolist() == list(range(len(sample.ids)))
        assert columns.diff().eq(1).all()
        count += 1
    assert count == len(samples)
    assert made.tokens == sum(len(sample.ids) for sample in samples)
    assert (made.labels[made.owner == -1] == IGNORED).all()


@given(rows_of_samples())
def test_labels_are_the_samples_own_next_answer_tokens(drawn: tuple[list[Sample], Rows]) -> None:
    """A sample's last token predicts nothing, so its neighbour's first is never predicted."""
    samples, rows = drawn
    made = collate(samples, rows, packed=True)
    for sample, row, columns in each(samples, made):
        following = [
            token if place >= sample.start else IGNORED
            for place, token in enumerate(sample.ids[1:], 1)
        ]
        assert made.labels[row, columns].tolist() == [*following, IGNORED]


@given(rows_of_samples())
def test_a_position_sees_its_own_sample_up_to_itself_and_nothing_else(
    drawn: tuple[list[Sample], Rows],
) -> None:
    """With a mask; without one, rows are of one sample that begins them, seen causally."""
    samples, rows = drawn
    made = collate(samples, rows, packed=True)
    assert (made.mask is None) == all(len(row) == 1 for row in rows)
    for sample, row, columns in each(samples, made):
        if made.mask is None:
            assert columns.tolist() == list(range(len(sample.ids)))
            continue
        for place, column in enumerate(columns.tolist()):
            seen = made.mask[row, 0, column].nonzero().flatten().tolist()
            assert seen == columns[: place + 1].tolist()


@settings(deadline=None)
@given(steps())
def test_packing_changes_neither_tokens_nor_labels_of_a_step(step: dict[str, Any]) -> None:
    """The samples are chosen before: packed or padded, they are the same, with the same labels."""
    samples = of_lengths(step.pop("lengths"))

    def trained(packing: bool) -> list[tuple[list[int], list[int]]]:
        return sorted(
            (made.ids[row, columns].tolist(), made.labels[row, columns].tolist())
            for made in batches(samples, packing=packing, **step)
            for _, row, columns in each(samples, made)
        )

    packed, padded = trained(packing=True), trained(packing=False)
    assert packed == padded
    assert sorted(ids for ids, _ in packed) == sorted(list(sample.ids) for sample in samples)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Any:
    """The tiny model in float32."""
    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)


def losses(model: Any, made: list[Batch]) -> tuple[float, dict[str, torch.Tensor]]:
    """Summed loss of a step's batches, and its gradients."""
    model.zero_grad()
    total = 0.0
    for batch in made:
        targets = batch.labels[batch.labels != IGNORED]
        loss = torch.nn.functional.cross_entropy(
            answer_logits(model, batch), targets, reduction="sum"
        )
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total, {name: tensor.grad.clone() for name, tensor in model.named_parameters()}


@pytest.mark.parametrize("seed", range(3))
def test_a_packed_step_has_the_loss_and_gradients_of_its_samples_alone(
    model: Any, seed: int
) -> None:
    """To float32's precision; several samples share rows, and some batches are padded."""
    rng = np.random.default_rng(seed)
    samples = of_lengths(rng.integers(2, 60, 24).tolist(), seed)
    packed = batches(samples, packing=True, max_length=128, micro_tokens=512)
    assert any(batch.mask is not None for batch in packed)
    alone = [collate([sample], [[0]], packed=False) for sample in samples]
    (together, gradients), (apart, theirs) = losses(model, packed), losses(model, alone)
    assert together == pytest.approx(apart, rel=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-4, atol=1e-4)


def test_without_the_mask_neighbours_would_change_the_loss(model: Any) -> None:
    """So that the test above would notice a leak."""
    samples = of_lengths([20, 30, 25])
    made = collate(samples, [[0, 1, 2]], packed=True)
    good, leaking = losses(model, [made])[0], losses(model, [replace(made, mask=None)])[0]
    assert abs(good - leaking) > 1e-2
