"""The tokens for workspaces elsewhere that a user has kept on this machine: a file that is theirs alone to read."""

import json
import os
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from modelwright import settings


def find(url: str) -> str | None:
    """Return the token for the workspace at `url`: that of `WRIGHT_TOKEN`, else the one kept."""
    return settings.token() or _read().get(_server(url))


def keep(url: str, token: str) -> Path:
    """Keep the token for the workspace at `url`, and return the file that has it."""
    return _write(_read() | {_server(url): token})


def forget(url: str) -> bool:
    """Forget the token for the workspace at `url`; return whether there was one."""
    known = _read()
    had = known.pop(_server(url), None) is not None
    if had:
        _write(known)
    return had


def _server(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _place() -> Path:
    return settings.user_folder() / "logins.json"


def _read() -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads(_place().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return known


def _write(known: dict[str, str]) -> Path:
    place = _place()
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, written = tempfile.mkstemp(dir=place.parent)  # of mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(known, file, indent=2)
    return Path(written).replace(place)
