"""What takes too long is stopped while it runs, and leaves no alarm behind."""

import signal
import time

import pytest

from modelwright.notebooks.timing import Clock, TooSlow, limited


def test_what_is_quick_enough_is_left_alone() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with limited("load_data", 5.0) as clock:
        sum(range(1000))
    assert clock.seconds() < 5.0
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_what_takes_too_long_is_stopped_though_it_catches_all_exceptions() -> None:
    def stubborn() -> None:
        while True:
            try:
                sum(range(1000))
            except Exception:  # noqa: BLE001 - what users write
                continue

    with pytest.raises(TooSlow, match=r"train_model takes \d+\.\d s"), limited("train_model", 0.1):
        stubborn()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_waiting_counts_only_a_quarter(monkeypatch) -> None:
    passed, worked = iter([100.0, 108.0, 108.0]), iter([1.0, 1.5, 7.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(passed))
    monkeypatch.setattr(time, "process_time", lambda: next(worked))
    clock = Clock()
    assert clock.seconds() == 2.0
    assert clock.seconds() == 6.0
