"""When a trigger of time is due."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.errors import TriggerInvalid
from modelwright.lifecycle import timing
from modelwright.records import Trigger, TriggerKind

ANCHOR = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def cron(value: str, zone: str = "UTC") -> Trigger:
    return Trigger(TriggerKind.CRON, value, zone)


def every(value: str) -> Trigger:
    return Trigger(TriggerKind.INTERVAL, value)


def times(trigger: Trigger, after: str, count: int) -> list[str]:
    first = timing.following(trigger, datetime.fromisoformat(after), anchor=ANCHOR)
    found = timing.upcoming(trigger, first, count, anchor=ANCHOR)
    assert all(each.tzinfo is UTC for each in found)
    return [each.strftime("%m-%d %H:%M") for each in found]


def test_a_cron_expression_is_read_in_its_time_zone() -> None:
    assert times(cron("0 3 * * 1-5", "Europe/Berlin"), "2026-01-09T10:00Z", 2) == ["01-12 02:00", "01-13 02:00"]
    assert times(cron("0 3 * * 1-5", "Europe/Berlin"), "2026-07-09T10:00Z", 2) == ["07-10 01:00", "07-13 01:00"]
    assert times(cron("0 3 * * 1-5"), "2026-01-09T10:00Z", 2) == ["01-12 03:00", "01-13 03:00"]


def test_a_time_in_the_gap_of_spring_is_due_when_the_gap_ends() -> None:
    """In Berlin, 29 March 2026 has no time between 02:00 and 03:00, which is 01:00 UTC."""
    assert times(cron("30 2 * * *", "Europe/Berlin"), "2026-03-27T12:00Z", 3) == [
        "03-28 01:30",
        "03-29 01:00",
        "03-30 00:30",
    ]


def test_a_time_in_the_fold_of_autumn_is_due_once() -> None:
    """In Berlin, 25 October 2026 has 02:30 twice: at 00:30 and at 01:30 UTC."""
    expected = ["10-25 00:30", "10-26 01:30"]
    assert times(cron("30 2 * * *", "Europe/Berlin"), "2026-10-24T12:00Z", 2) == expected
    assert times(cron("30 2 * * *", "Europe/Berlin"), "2026-10-25T00:30Z", 1) == expected[1:]
    assert times(cron("30 2 * * *", "Europe/Berlin"), "2026-10-25T01:10Z", 1) == expected[1:]


def test_what_is_due_every_hour_goes_on_in_real_time() -> None:
    assert times(cron("0 * * * *", "Europe/Berlin"), "2026-10-24T23:30Z", 3) == [
        "10-25 00:00",
        "10-25 01:00",
        "10-25 02:00",
    ]
    assert times(cron("*/30 * * * *", "Europe/Berlin"), "2026-03-29T00:15Z", 3) == [
        "03-29 00:30",
        "03-29 01:00",
        "03-29 01:30",
    ]


def test_an_interval_is_counted_from_its_anchor() -> None:
    assert times(every("15m"), "2026-01-01T12:00Z", 2) == ["01-01 12:15", "01-01 12:30"]
    assert times(every("15m"), "2026-01-01T13:07Z", 1) == ["01-01 13:15"]
    assert times(every("1d"), "2026-03-01T00:00Z", 1) == ["03-01 12:00"]


def test_how_often_it_was_due() -> None:
    first = datetime(2026, 1, 5, 3, tzinfo=UTC)
    now = datetime(2026, 1, 9, 2, 59, tzinfo=UTC)
    assert timing.passed(cron("0 3 * * *"), first, now) == (4, datetime(2026, 1, 8, 3, tzinfo=UTC))
    assert timing.passed(cron("0 3 * * *"), first, first) == (1, first)
    assert timing.passed(every("1h"), first, now) == (96, datetime(2026, 1, 9, 2, tzinfo=UTC))


@given(
    st.sampled_from(["*/7 * * * *", "30 2 * * *", "0 3 * * 1-5", "15 1-3 * * *", "0 0 1 * *"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.integers(0, 3 * 366 * 24 * 60).map(lambda minutes: ANCHOR - timedelta(minutes=minutes)),
)
def test_the_next_time_is_later_and_between_them_is_none(value: str, zone: str, after: datetime) -> None:
    trigger = cron(value, zone)
    found = timing.following(trigger, after, anchor=ANCHOR)
    assert found > after
    assert timing.following(trigger, found - timedelta(seconds=1), anchor=ANCHOR) == found


@pytest.mark.parametrize(
    ("trigger", "rule"),
    [
        (cron("0 3 * *"), "five fields"),
        (cron("0 0 3 * * *"), "five fields"),
        (cron("61 3 * * *"), "Bad minute"),
        (cron("@daily"), "five fields"),
        (cron("0 0 30 2 *"), "day-of-month"),
        (cron("0 3 * * *", "Europe/Berln"), "no time zone"),
        (cron("0 3 * * *", "../etc/passwd"), "no time zone"),
        (every("15"), "whole number"),
        (every("0m"), "whole number"),
        (every("1.5h"), "whole number"),
        (every("-1h"), "whole number"),
    ],
)
def test_what_cannot_be_waited_for_is_refused(trigger: Trigger, rule: str) -> None:
    with pytest.raises(TriggerInvalid, match=rule) as refused:
        timing.check(trigger)
    assert refused.value.next_command
