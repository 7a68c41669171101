"""The tokens for workspaces elsewhere that a user has kept on this machine: a file that is theirs alone to read."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from modelwright import settings
from modelwright.errors import Busy, FolderNotWritable, LoginsDamaged

_LONGEST_SECONDS = 30.0


def find(url: str) -> str | None:
    """Return the token for the workspace at `url`: that of `WRIGHT_TOKEN`, else the one kept."""
    return settings.token() or _read().get(_server(url))


def keep(url: str, token: str) -> Path:
    """Keep the token for the workspace at `url`, and return the file that has it."""
    with _known() as known:
        known[_server(url)] = token
    return _place()


def forget(url: str) -> bool:
    """Forget the token for the workspace at `url`; return whether there was one."""
    with _known() as known:
        return known.pop(_server(url), None) is not None


def _server(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _place() -> Path:
    return settings.user_folder() / "logins.json"


@contextlib.contextmanager
def _known() -> Iterator[dict[str, str]]:
    """Give the tokens to be changed, and write them when the block ends; nobody else changes them meanwhile."""
    from filelock import FileLock, Timeout

    place = _place()
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(place.with_suffix(".lock"), timeout=_LONGEST_SECONDS):
            known = _read()
            before = dict(known)
            yield known
            if known != before:
                _write(place, known)
    except Timeout as error:
        holder = "another wright login, or logout"
        raise Busy(thing=f'"{place}"', holder=holder, command="the same command") from error
    except OSError as error:
        raise FolderNotWritable(
            folder=place.parent, reason=error.strerror or error, option="XDG_CONFIG_HOME"
        ) from error


def _read() -> dict[str, str]:
    place = _place()
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise LoginsDamaged(path=place, reason=error) from error
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise LoginsDamaged(path=place, reason="it does not have a token for each address")
    return found


def _write(place: Path, known: dict[str, str]) -> None:
    handle, written = tempfile.mkstemp(dir=place.parent)  # of mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(known, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        Path(written).replace(place)
    finally:
        Path(written).unlink(missing_ok=True)
