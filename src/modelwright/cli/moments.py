"""Times as people type them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_AGO = re.compile(r"(\d{1,6}) (second|minute|hour|day|week)s? ago")
_SPAN = re.compile(r"(\d{1,5})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_RULE = "a time such as 2026-03-03T12:00, 2026-03-03, yesterday or '2 hours ago'"


class Moment(click.ParamType[datetime]):
    """A time: ISO 8601, a date for its first moment, today, yesterday, 2 hours ago; without a zone the user's."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            return read_moment(value, now=datetime.now(UTC))
        except (ValueError, OverflowError):
            self.fail(f'"{value}" is not {_RULE}', param, ctx)


class Span(click.ParamType[timedelta]):
    """How long: 90m, 12h, 30d, 8w."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return how long that is."""
        found = value if isinstance(value, timedelta) else _SPAN.fullmatch(value)
        if isinstance(found, timedelta):
            return found
        if not found or not int(found[1]):
            self.fail(f'"{value}" is not a number of minutes, hours, days or weeks, such as 30d', param, ctx)
        return timedelta(**{_UNITS[found[2]]: int(found[1])})


def read_moment(text: str, *, now: datetime) -> datetime:
    """Return the time that `text` says. Raises ValueError when it says none."""
    text = text.strip()
    here = now.astimezone()
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    named = {"now": here.replace(tzinfo=None), "today": midnight, "yesterday": midnight - timedelta(days=1)}
    ago = _AGO.fullmatch(text)
    if ago:
        return now - timedelta(**{f"{ago[2]}s": int(ago[1])})
    return (named.get(text) or datetime.fromisoformat(text)).astimezone(UTC)
