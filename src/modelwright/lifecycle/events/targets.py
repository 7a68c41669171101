"""What each kind of subscriber is reached by, checked before anything is recorded; no secret is part of it."""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from modelwright.errors import SubscriberInvalid
from modelwright.lifecycle import publishing
from modelwright.lifecycle.events import commands, exchanges, mail, pipelines
from modelwright.store.database import Store

_ADDRESS = re.compile(r"[^\s@<>,\"]+@[^\s@<>,\"]+")
_PORTS = {mail.STARTTLS: 587, mail.TLS: 465, mail.PLAIN: 25}
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
    sender = sender or (user if "@" in user else to[0])
    for each in (*to, sender):
        if not _ADDRESS.fullmatch(each) or not each.isprintable():
            raise SubscriberInvalid(target=each, rule="it is no e-mail address", example=example)
    host, port = _host_and_port(server, example=example)
    if user and security == mail.PLAIN and not is_private_allowed:
        rule = "without TLS anybody on the way can read the password"
        raise SubscriberInvalid(target=server, rule=rule, example=example)
    return {
        "to": list(to),
        "from": sender,
        "server": host,
        "port": port or _PORTS[security],
        "security": security,
        "user": user,
        "is_private_allowed": is_private_allowed,
    }


def _host_and_port(server: str, *, example: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(f"//{server}")
        host, port = parts.hostname or "", parts.port
    except ValueError:  # of an address in brackets, or a port
        host, port = "", None
    is_whole = server.lower() in {host, f"[{host}]", f"{host}:{port}", f"[{host}]:{port}"}
    if not host or not is_whole or not server.isascii() or port == 0:
        raise SubscriberInvalid(target=server, rule="a server is HOST or HOST:PORT", example=example)
    return host, port


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
