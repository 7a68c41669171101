"""When a trigger of time is due: cron expressions in a time zone, and intervals. Pure; the clock comes in.

When clocks change, cron does as Debian's cron: a job at a fixed time that the gap of spring leaves out is due when the
gap ends, one that the fold of autumn repeats is due the first time only, and one of every hour or minute is due in
real time.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from modelwright.errors import TriggerInvalid
from modelwright.records import Trigger, TriggerKind

_INTERVAL = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_CRON_FIELDS = 5


def check(trigger: Trigger) -> None:
    """Find out whether the trigger can be read and will ever be due. Raises TriggerInvalid."""
    if trigger.kind is TriggerKind.INTERVAL:
        _interval(trigger)
    else:
        next(_cron(trigger, datetime(2000, 1, 1, tzinfo=UTC)))


def following(trigger: Trigger, after: datetime, *, anchor: datetime) -> datetime:
    """Return when the trigger is due first after the time `after`. Intervals are counted from `anchor`.

    Raises TriggerInvalid.
    """
    if trigger.kind is TriggerKind.INTERVAL:
        step = _interval(trigger)
        return anchor + ((after - anchor) // step + 1) * step
    return next(_cron(trigger, after))


def passed(trigger: Trigger, first: datetime, now: datetime) -> tuple[int, datetime]:
    """Return how many times the trigger was due from `first`, which is one of them, until `now`, and the last one."""
    if trigger.kind is TriggerKind.INTERVAL:
        step = _interval(trigger)
        more = (now - first) // step
        return 1 + more, first + more * step
    count, last = 1, first
    for each in _cron(trigger, first):
        if each > now:
            break
        count, last = count + 1, each
    return count, last


def upcoming(trigger: Trigger, first: datetime, count: int, *, anchor: datetime) -> list[datetime]:
    """Return `first` and the due times after it, `count` in all."""
    found = [first]
    while len(found) < count:
        found.append(following(trigger, found[-1], anchor=anchor))
    return found


def _interval(trigger: Trigger) -> timedelta:
    found = _INTERVAL.fullmatch(trigger.value)
    step = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta()
    if not step:
        raise TriggerInvalid(
            value=trigger.value, rule="an interval is a whole number and s, m, h or d", example="--every 15m"
        )
    return step


def _cron(trigger: Trigger, after: datetime) -> Iterator[datetime]:
    """Give the due times after `after`, in UTC and in order."""
    from cronsim import CronSim, CronSimError

    example = '--cron "0 3 * * 1-5"'
    try:
        zone = ZoneInfo(trigger.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        rule = "this machine knows no time zone of that name"
        raise TriggerInvalid(value=trigger.time_zone, rule=rule, example="--time-zone Europe/Berlin") from error
    try:
        if len(trigger.value.split()) != _CRON_FIELDS:
            rule = "a cron expression has five fields: minute, hour, day, month, weekday"
            raise TriggerInvalid(value=trigger.value, rule=rule, example=example)
        times = CronSim(trigger.value, after.astimezone(zone))
    except CronSimError as error:
        rule = f"it is no cron expression: {error}"
        raise TriggerInvalid(value=trigger.value, rule=rule, example=example) from error
    last = after
    for each in times:
        found = each.astimezone(UTC)
        # In the hour that autumn repeats, a fixed time lies before the second passing of the clock.
        if found > last:
            yield found
            last = found
    raise TriggerInvalid(value=trigger.value, rule="it is never due", example=example)
