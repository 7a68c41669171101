"""Times as people type them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_AGO = re.compile(r"(\d{1,6}) (second|minute|hour|day|week)s? ago")
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
