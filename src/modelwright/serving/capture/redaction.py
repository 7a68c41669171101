"""Leaves fields out of what is captured, or keeps a keyed hash in their place: before anything is written.

What stands where a field was named is treated so in JSON bodies, wherever clients put names: as keys of objects, as the
columns of a table that is given as `{"columns": [...], "data": [[...]]}`, as the name of a tensor. A body that cannot
be read as JSON may hold the fields all the same, so that nothing of it is kept.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelwright.records import Exchange

WITHHELD = b'"withheld: not JSON, and fields of it may not be kept"'
_GONE = object()
_SALT_BYTES = 32
_HASH_DIGITS = 32
_COLUMNS = ("columns", "index_columns")


@dataclass(frozen=True)
class Redaction:
    """Which fields are hashed with which key, and which are left out."""

    hashed: tuple[str, ...]
    left_out: tuple[str, ...]
    salt: bytes

    def apply(self, body: bytes) -> bytes:
        """Return a body as it may be kept."""
        if not body:
            return body
        try:
            value = json.loads(body)
            return json.dumps(self._redacted(value, ()), separators=(",", ":"), ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            return WITHHELD

    def redacted(self, exchange: Exchange) -> Exchange:
        """Return an exchange as it may be kept; its query, which is its input once more, goes."""
        return replace(
            exchange,
            path=exchange.path.partition("?")[0],
            headers=self.headers(exchange.headers),
            input=self.apply(exchange.input),
            output=self.apply(exchange.output),
        )

    def headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return headers as they may be kept; one that is named is treated as a field is."""
        kept = {}
        for name, value in headers.items():
            told = self._treat((name,), value)
            if told is not _GONE:
                kept[name] = told if told is not None else value
        return kept

    def _treat(self, path: tuple[str, ...], value: object) -> Any:
        """Return what stands for the field at `path`: _GONE, its hash, or None when it is kept as it is."""
        if _names(self.left_out, path):
            return _GONE
        if _names(self.hashed, path):
            told = json.dumps(value, sort_keys=True, separators=(",", ":"))
            return "hash:" + hmac.new(self.salt, told.encode(), hashlib.sha256).hexdigest()[:_HASH_DIGITS]
        return None

    def _redacted(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            told = {}
            for name, each in value.items():
                found = self._treat((*path, name), each)
                if found is not _GONE:
                    told[name] = self._redacted(each, (*path, name)) if found is None else found
            return self._without_columns(self._without_tensor(told, path), path)
        if isinstance(value, list):
            return self._in_list(value, path)
        return value

    def _in_list(self, value: list[Any], path: tuple[str, ...]) -> list[Any]:
        """Return a list with its items treated: those of a row by their number, those of other lists by its name."""
        told = []
        for number, each in enumerate(value):
            if isinstance(each, dict | list):
                told.append(self._redacted(each, path))
                continue
            found = self._treat((*path, str(number)), each) if path else None
            # A place in a row stays a place, so that those after it keep theirs.
            told.append(None if found is _GONE else each if found is None else found)
        return told

    def _without_tensor(self, told: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        """Return an object with its data treated if it is a tensor whose name is that of a field."""
        if not isinstance(told.get("name"), str) or "data" not in told:
            return told
        found = self._treat((*path, told["name"]), told["data"])
        return told if found is None else {**told, "data": None if found is _GONE else found}

    def _without_columns(self, table: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        """Return an object with the cells treated whose columns it names."""
        names = next((table[each] for each in _COLUMNS if isinstance(table.get(each), list)), None)
        rows = table.get("data")
        if not isinstance(names, list) or not isinstance(rows, list):
            return table
        treated = {n for n, name in enumerate(names) if _names((*self.left_out, *self.hashed), (*path, str(name)))}
        if not treated:
            return table
        return table | {"data": [self._row(each, names, treated, path) for each in rows]}

    def _row(self, row: Any, names: Sequence[Any], treated: set[int], path: tuple[str, ...]) -> Any:
        if not isinstance(row, list):
            return row
        told = list(row)
        for number in treated:
            if number < len(told):
                found = self._treat((*path, str(names[number])), row[number])
                told[number] = None if found is _GONE else found
        return told


def _names(wanted: Sequence[str], path: tuple[str, ...]) -> bool:
    """Whether a name for any depth is the last of `path`, or a path from the root is all of it."""
    whole = ".".join(path)
    return any(each == whole or each == path[-1] for each in wanted)


def redaction(hashed: Sequence[str], left_out: Sequence[str], *, salt: Callable[[], bytes]) -> Redaction | None:
    """Return what is done to bodies; None where every field is kept as it is."""
    if not hashed and not left_out:
        return None
    return Redaction(tuple(hashed), tuple(left_out), salt() if hashed else b"")


def salt_of(folder: Path) -> bytes:
    """Return the key of a workspace's hashes, which is made at its first use.

    Who has it can try out which value a hash came of; once it is deleted, nobody can, and later hashes are others.
    """
    path = folder / "salt"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
    begun = folder / f".salt.{secrets.token_hex(4)}"
    descriptor = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(_SALT_BYTES))
        file.flush()
        os.fsync(descriptor)
    try:
        os.link(begun, path)  # unlike a rename, it does not replace that of another process
    except FileExistsError:
        pass
    finally:
        begun.unlink()
    return path.read_bytes()
