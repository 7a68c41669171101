"""What an audit record says that changed, as people read it in a table; `--json` has all of it."""

import json
from collections.abc import Mapping
from typing import Any

_LONGEST = 40  # characters of a value that are shown
_MOST = 4  # facts that are shown of what came or went whole
_DIGEST = 12


def changed(record: Mapping[str, Any]) -> str:
    """Return `version 1 → 2` for what changed; of what was added or taken away, the first plain facts."""
    before, after = record["before"] or {}, record["after"] or {}
    if not after:
        return ", ".join(_facts(before, end=" → none"))
    parts = [
        f"{name} {_shown(name, old)} → {_shown(name, after.get(name))}"
        for name, old in before.items()
        if old != after.get(name)
    ]
    return ", ".join([*parts, *_facts({name: new for name, new in after.items() if name not in before})])


def _facts(told: Mapping[str, Any], *, end: str = "") -> list[str]:
    plain = {name: value for name, value in told.items() if isinstance(value, str | int | float) and value != ""}
    shown = [f"{name} {_shown(name, value)}{end}" for name, value in plain.items()]
    return [*shown[:_MOST], *(["…"] if len(told) > _MOST else [])]


def _shown(name: str, value: object) -> str:
    text = "none" if value in (None, "") else value if isinstance(value, str) else json.dumps(value)
    if "digest" in name:
        return text[:_DIGEST]
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
