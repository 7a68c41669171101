"""What each kind of subscriber is reached by, checked before anything is recorded; no secret is part of it."""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelwright.errors import SubscriberInvalid
from modelwright.lifecycle import publishing
from modelwright.lifecycle.events import commands, exchanges, mail, pipelines
from modelwright.store.database import Store

_ADDRESS = re.compile(r"[^\s@<>,\"]+@[^\s@<>,\"]+", re.ASCII)
_PORTS = {mail.STARTTLS: 587, mail.TLS: 465, mail.PLAIN: 25}
_HIGHEST_PORT = 65535
_SHOWN = 100

Target = dict[str, Any]


def webhook(url: str, *, is_private_allowed: bool) -> Target:
    """Return what a webhook is reached by. Raises SubscriberInvalid."""
    exchanges.checked(url, is_private_allowed=is_private_allowed)
    return {"url": url, "is_private_allowed": is_private_allowed}


def pipeline(store: Store, reference: str, *, parameters: Mapping[str, str]) -> Target:
    """Return which published pipeline runs, and where its parameters come from.

    Raises PipelineMissing, PipelineDisabled, PublishedParameterUnknown.
    """
    publishing.runnable(store, reference, overrides=parameters)
    told = {name: pipelines.read_parameter(text) for name, text in parameters.items()}
    return {"pipeline": reference, "parameters": told}


def command(line: str, *, folder: Path) -> Target:
    """Return which command runs, and in which folder. Raises SubscriberInvalid."""
    example = "--command 'python notify.py --channel models'"
    try:
        words = commands.read(line)
    except ValueError as error:
        raise SubscriberInvalid(target=line, rule=f"a shell would not read it: {error}", example=example) from error
    program = words[0] if words else ""
    if shutil.which(str(folder / program) if "/" in program else program) is None:
        raise SubscriberInvalid(target=line, rule=f'there is no program "{program}"', example=example)
    return {"command": words, "folder": str(folder.absolute())}


def email(
    to: Sequence[str], *, server: str, sender: str = "", security: str = mail.STARTTLS, user: str = "",
    is_private_allowed: bool = False,
) -> Target:  # fmt: skip
    """Return who gets mail, by which server: `HOST` or `HOST:PORT`. Raises SubscriberInvalid."""
    example = "--email you@example.org --smtp-server mail.example.org:587 --smtp-user you"
    host, separator, port = server.rpartition(":") if re.search(r":\d+$", server) else (server, "", "")
    sender = sender or (user if "@" in user else to[0])
    for each in (*to, sender):
        if not _ADDRESS.fullmatch(each):
            raise SubscriberInvalid(target=each, rule="it is no e-mail address", example=example)
    if not host or not host.isascii() or (separator and not 0 < int(port) <= _HIGHEST_PORT):
        raise SubscriberInvalid(target=server, rule="a server is HOST or HOST:PORT", example=example)
    if user and security == mail.PLAIN and not is_private_allowed:
        rule = "without TLS anybody on the way can read the password"
        raise SubscriberInvalid(target=server, rule=rule, example=example)
    return {
        "to": list(to),
        "from": sender,
        "server": host,
        "port": int(port) if port else _PORTS[security],
        "security": security,
        "user": user,
        "is_private_allowed": is_private_allowed,
    }


def file(path: str, *, folder: Path) -> Target:
    """Return the file that gets a line for each event; for a path that ends in `/`, or is a folder, a file for each.

    Raises SubscriberInvalid.
    """
    example = "--file events.jsonl, or --file events/"
    try:
        place = (folder / Path(path).expanduser()).absolute()
        is_folder = path.endswith("/") or place.is_dir()
        is_reachable = place.parent.is_dir()
    except (OSError, RuntimeError) as error:  # longer than a name may be, or at the home of nobody
        raise SubscriberInvalid(target=path[:_SHOWN], rule=str(error)[:_SHOWN], example=example) from error
    if not is_reachable:
        raise SubscriberInvalid(target=path, rule=f'there is no folder "{place.parent}"', example=example)
    return {"path": str(place), "is_folder": is_folder}
