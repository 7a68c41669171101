"""The workspace's own rules, which its users set: which changes need a reason, who needs a token."""

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from modelwright.errors import RuleInvalid, RuleUnknown
from modelwright.store import reasons, schema
from modelwright.store.changes import Change
from modelwright.store.database import Store
from modelwright.store.loading import rows

LOOPBACK_TRUST = "loopback-trust"


@dataclass(frozen=True)
class Rule:
    """A setting that there is: what it is for, which values it takes, and what makes one of what was typed."""

    name: str
    meaning: str
    takes: str
    example: str
    read: Callable[[str], str | None]


def _kinds(text: str) -> str | None:
    """Return kinds of change in their order; None when one of them is not."""
    given = {each.strip() for each in text.split(",")} - {""}
    return ",".join(each for each in reasons.KINDS if each in given) if given and given <= set(reasons.KINDS) else None


def _switch(text: str) -> str | None:
    """Return `on` or `off`; None for anything else."""
    return text if text in {"on", "off"} else None


RULES = {
    reasons.SETTING: Rule(
        reasons.SETTING,
        "which changes need --why",
        f"one or more of {', '.join(reasons.KINDS)}, with commas",
        ",".join(reasons.KINDS),
        _kinds,
    ),
    LOOPBACK_TRUST: Rule(
        LOOPBACK_TRUST,
        "whether your own programs on this machine need no token",
        "on (as when not set) or off",
        "off",
        _switch,
    ),
}


def set_rule(change: Change, name: str, value: str) -> str:
    """Give a setting a value and return it as it is kept. Raises RuleUnknown, RuleInvalid."""
    rule = _rule(name)
    kept = rule.read(value)
    if kept is None:
        raise RuleInvalid(name=name, value=value, rule=rule.takes, example=rule.example)
    table = schema.settings
    before = change.rows(sa.select(table.c.value).where(table.c.name == name))
    if before and before[0].value == kept:
        return kept
    if before:
        change.update(table, table.c.name == name, value=kept)
    else:
        change.insert(table, {"name": name, "value": kept})
    change.record(
        "setting.changed",
        f"settings/{name}",
        before={"value": before[0].value if before else None},
        after={"value": kept},
    )
    return kept


def unset_rule(change: Change, name: str) -> None:
    """Take a setting's value away, if it has one. Raises RuleUnknown."""
    _rule(name)
    table = schema.settings
    before = change.rows(sa.select(table.c.value).where(table.c.name == name))
    if before:
        change.delete(table, table.c.name == name)
        change.record("setting.changed", f"settings/{name}", before={"value": before[0].value}, after={"value": None})


def list_rules(store: Store) -> dict[str, str | None]:
    """Return all settings that there are with their values; None where none is set."""
    with store.reader.connect() as connection:
        found = {row.name: row.value for row in connection.execute(schema.settings.select())}
    return {name: found.get(name) for name in RULES}


def is_on(store: Store, name: str) -> bool:
    """Whether a setting that is on or off is on, as it is when nobody has set it."""
    with store.reader.connect() as connection:
        return rows(connection, "SELECT value FROM settings WHERE name = ?", (name,)) != [("off",)]


def _rule(name: str) -> Rule:
    if name not in RULES:
        raise RuleUnknown(name=name, known=", ".join(f'"{each}"' for each in RULES))
    return RULES[name]
