"""Fits the program's commands to a workspace elsewhere: their files travel, and they ask for a role.

At the client a fitted command does nothing but say what it would need; at the server it is checked and done. Both read
the words in the same way, with the command's own parameters.
"""

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

import click

from modelwright import settings
from modelwright.cli.remote.rights import LOCAL, RIGHTS, Right
from modelwright.errors import NotFromElsewhere, RoleTooLow
from modelwright.lifecycle.parcels import place
from modelwright.records import Role

_Fit = Callable[[click.Command, str], None]


@dataclass(frozen=True)
class Needs:
    """What a command needs of the client's side: its files, those of them that it writes, its standard input."""

    files: tuple[str, ...]
    wants: tuple[str, ...]
    reads_input: bool

    @property
    def sends(self) -> tuple[str, ...]:
        """The files that are to be sent: those that are there."""
        return tuple(each for each in self.files if each not in self.wants and Path(each).expanduser().exists())


def for_client(name: str, command: click.Command) -> None:
    """Make what the command called `name`, with all below it, give the `Needs` of a call instead of obeying it."""
    _each(command, name, _ask)


def for_server(name: str, command: click.Command, *, role: Role) -> None:
    """Let the command called `name`, with all below it, be obeyed as far as the role allows, with the files sent."""
    _each(command, name, functools.partial(_guard, role=role))


def _each(command: click.Command, path: str, fit: _Fit) -> None:
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            _each(below, f"{path} {name}", fit)
    else:
        fit(command, path)


def _ask(command: click.Command, path: str) -> None:
    right = _right(command, path)
    for each in _parameters(command, (*right.reads, *right.writes)):
        each.type = _Typed(each.type)

    def needs(*_: object, **given: Any) -> Needs:
        _refuse_local(path)
        wants = tuple(_values(given, right.writes))
        return Needs((*_values(given, (*right.reads, *right.may_read)), *wants), wants, right.reads_input(given))

    command.callback = needs


def _guard(command: click.Command, path: str, *, role: Role) -> None:
    right = _right(command, path)
    for each in _parameters(command, (*right.reads, *right.writes)):
        each.type = _Placed(each.type)
    for each in _parameters(command, right.may_read):
        each.type = _Sent(each.type)
    obey = cast("Callable[..., object]", command.callback)

    @functools.wraps(obey)
    def checked(*words: Any, **given: Any) -> object:
        _refuse_local(path)
        _check(right, role, click.get_current_context())
        return obey(*words, **given)

    command.callback = checked


def _right(command: click.Command, path: str) -> Right:
    """Return what the command takes; one of which nobody has said anything is an owner's, and reads its files."""
    files = tuple(str(each.name) for each in command.params if isinstance(each.type, click.Path))
    return RIGHTS.get(path) or Right(Role.OWNER, reads=files)


def _check(right: Right, role: Role, context: click.Context) -> None:
    if not role.allows(right.role):
        raise RoleTooLow(name=settings.actor(), role=role, needed=right.role)
    given = [
        each for each in right.there if context.get_parameter_source(each) is click.core.ParameterSource.COMMANDLINE
    ]
    if given and not role.allows(Role.OWNER):
        raise RoleTooLow(name=settings.actor(), role=role, needed=Role.OWNER)


def _refuse_local(path: str) -> None:
    if path in LOCAL:
        raise NotFromElsewhere(command=path, next=LOCAL[path])


def _parameters(command: click.Command, names: tuple[str, ...]) -> Iterator[click.Parameter]:
    found = {each.name: each for each in command.params}
    return (found[each] for each in names)


def _values(given: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        value = given[name]
        for each in value if isinstance(value, tuple) else (value,):
            if each is not None:
                yield os.fspath(each)


class _Typed(click.ParamType[str]):
    """A file as it was typed, once the command's own rule has passed it."""

    name = "path"

    def __init__(self, own: click.ParamType[Any]) -> None:
        self._own = own

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        self._own.convert(value, param, ctx)
        return str(value)


class _Placed(click.ParamType[Any]):
    """A file of the client's: where the parcel has put it, or where it is to be taken from afterwards."""

    name = "path"

    def __init__(self, own: click.ParamType[Any]) -> None:
        self._own = own

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self._own.convert(str(place(os.fspath(value))), param, ctx)


class _Sent(click.ParamType[Any]):
    """A file that was sent, or what is no file at all; a file of the server is neither."""

    name = "path"

    def __init__(self, own: click.ParamType[Any]) -> None:
        self._own = own

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        placed = place(value)
        named = value if placed == PurePosixPath(value) else str(placed)
        return self._own.convert(named, param, ctx)
