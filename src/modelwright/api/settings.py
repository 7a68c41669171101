"""`/settings`: what the workspace asks of its users, such as reasons."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from modelwright.api.acting import Acting, Reading, needs
from modelwright.api.routing import Router
from modelwright.records import Role
from modelwright.store import rules

router = Router("/settings")
_owner = [needs(Role.OWNER)]


@dataclass(frozen=True)
class Setting:
    """A setting: its value, None when it has none, what it means, and what it takes."""

    name: str
    value: str | None
    meaning: str
    takes: str


class Value(BaseModel):
    """What a setting is to be."""

    model_config = ConfigDict(extra="forbid")

    value: str = Field(max_length=10_000)


@router.get("")
def list_settings(reading: Reading) -> list[Setting]:
    """List the workspace's settings: what they are, what they mean, what they may be."""
    found = rules.list_rules(reading)
    return [Setting(each.name, found[each.name], each.meaning, each.takes) for each in rules.RULES.values()]


@router.put("/{name}", dependencies=_owner)
def change_setting(name: str, wanted: Value, acting: Acting) -> dict[str, str]:
    """Give a setting a value; the answer has it as it is kept."""
    with acting.change() as opened:
        return {name: rules.set_rule(opened, name, wanted.value)}


@router.delete("/{name}", dependencies=_owner)
def unset_setting(name: str, acting: Acting) -> dict[str, None]:
    """Take the value of a setting away."""
    with acting.change() as opened:
        rules.unset_rule(opened, name)
    return {name: None}
