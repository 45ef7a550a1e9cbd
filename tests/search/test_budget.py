"""The budget's notation, the clocks and the ledger."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from search.budget import (
    LONGEST_S,
    Kind,
    Ledger,
    SimulatedClock,
    format_budget,
    format_seconds,
    parse_budget,
    process_age_s,
    read_ledger,
)
from search.errors import BadInput


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("20m", 1200), ("24h", 86400), ("1d", 86400), ("1h30m", 5400), ("1.5h", 5400)],
)
def test_budgets_of_the_contract_are_read(text: str, seconds: float) -> None:
    """Each notation that the contract names gives its seconds."""
    assert parse_budget(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "10", "-5m", "0s", "m", "5x", "1m1h", "1e9d", "nan", "inf", "1h 30m", "１０m"]
)
def test_other_budgets_are_refused_with_the_text_named(text: str) -> None:
    """What is no positive duration is bad input, and the message repeats it."""
    with pytest.raises(BadInput) as caught:
        parse_budget(text)
    assert repr(text) in str(caught.value)


@given(st.text(max_size=12))
def test_any_text_is_either_a_positive_budget_or_bad_input(text: str) -> None:
    """No text makes the parser fail in another way."""
    with contextlib.suppress(BadInput):
        assert parse_budget(text) > 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0s"), (59.4, "59s"), (61, "1m01s"), (3600, "1h00m"), (97200, "1d03h"), (-3, "0s")],
)
def test_durations_are_shown_in_two_units(seconds: float, text: str) -> None:
    """People read two units at most."""
    assert format_seconds(seconds) == text


@example(1209600.0)
@example(1234567.0)
@example(0.1 + 0.2)
@given(st.floats(min_value=0, max_value=LONGEST_S, exclude_min=True))
def test_a_budget_that_is_told_reads_back_as_the_same(seconds: float) -> None:
    """Of days as well, and to the last digit."""
    assert parse_budget(format_budget(seconds)) == seconds


def test_a_simulated_clock_never_goes_back() -> None:
    """Time moves only forward, and only when told."""
    clock = SimulatedClock()
    clock.advance(5)
    assert clock.now() == 5
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)


def spend(ledger: Ledger, clock: SimulatedClock) -> None:
    """A typical stretch of work: nested spans, gaps."""
    clock.advance(0.5)
    with ledger.span(Kind.SETUP):
        clock.advance(2)
    clock.advance(0.25)
    with ledger.span(Kind.SEARCH_TRAIN, trial=3, note="rung 0"):
        clock.advance(4)
        with ledger.span(Kind.SEARCH_EVAL, trial=3):
            clock.advance(1)
        clock.advance(2)


def test_spans_follow_each_other_and_add_up_to_the_time_alive(tmp_path: Path) -> None:
    """No gap, no overlap: what no span claims is idle."""
    clock = SimulatedClock(100)
    ledger = Ledger(tmp_path / "ledger.jsonl", clock)
    spend(ledger, clock)
    ledger.close()

    spans = read_ledger(tmp_path / "ledger.jsonl")
    end = 0.0
    for span in spans:
        assert span.start == pytest.approx(end)
        end = span.start + span.seconds
    assert end == pytest.approx(9.75)
    spent = ledger.spent()
    assert spent["idle"] == pytest.approx(0.25)
    assert spent["setup"] == pytest.approx(2.5)
    assert spent["search_train"] == pytest.approx(6)
    assert spent["search_eval"] == pytest.approx(1)


def test_a_resumed_ledger_goes_on_where_the_last_line_ended(tmp_path: Path) -> None:
    """Time between two processes of a job does not count."""
    clock = SimulatedClock(100)
    first = Ledger(tmp_path / "ledger.jsonl", clock)
    spend(first, clock)
    first.close()
    clock.advance(1000)
    second = Ledger(tmp_path / "ledger.jsonl", clock)
    assert second.now() == pytest.approx(9.75)
    with second.span(Kind.EXPORT):
        clock.advance(1)
    assert sum(second.spent().values()) == pytest.approx(10.75)


def test_the_time_before_the_ledger_was_opened_counts(tmp_path: Path) -> None:
    """A process's start-up belongs to its budget."""
    clock = SimulatedClock(100)
    clock.advance(3)
    ledger = Ledger(tmp_path / "ledger.jsonl", clock, started=100)
    assert ledger.now() == 3


def test_a_torn_last_line_is_cut_off_and_forgotten(tmp_path: Path) -> None:
    """A crash in the middle of a line loses that line only."""
    clock = SimulatedClock()
    ledger = Ledger(tmp_path / "ledger.jsonl", clock)
    spend(ledger, clock)
    ledger.close()
    path = tmp_path / "ledger.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"start": 9.75, "seco')

    assert len(read_ledger(path)) == len(whole.splitlines())
    assert path.read_bytes() != whole  # a reader changes nothing
    assert len(Ledger(path, clock).spans) == len(whole.splitlines())
    assert path.read_bytes() == whole


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    """Damage that is no torn end is bad input, with file and line."""
    path = tmp_path / "ledger.jsonl"
    good = json.dumps({"start": 0, "seconds": 1, "kind": "idle", "trial": None, "note": ""})
    path.write_text(f"{good}\nnonsense\n{good}\n")
    with pytest.raises(BadInput, match="line 2"):
        read_ledger(path)


def test_a_long_span_is_written_in_pieces(tmp_path: Path) -> None:
    """A kill in the middle of an hour's training loses seconds of the ledger, not the hour."""
    clock = SimulatedClock()
    ledger = Ledger(tmp_path / "ledger.jsonl", clock)
    with ledger.span(Kind.FINAL_TRAIN):
        for _ in range(10):
            clock.advance(6)
            ledger.tick()
        written = sum(span.seconds for span in read_ledger(tmp_path / "ledger.jsonl"))
        assert written >= 60 - Ledger.PIECE_S


def test_a_process_that_did_something_else_before_is_as_young_as_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A shell's process, given over to its last command, is older than the job."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    began = ticks / os.sysconf("SC_CLK_TCK")
    for age, counted in ((3.0, 3.0), (77.0, 0.0)):
        monkeypatch.setattr(time, "clock_gettime", lambda _, now=began + age: now)
        assert process_age_s() == pytest.approx(counted)
