"""`/commands`: a command of `wright`, given from elsewhere; it runs here, and what it prints goes there.

The body is a parcel (a tar archive) whose file `call.json` has the words, with the files that they name below `files/`
and standard input as `input`. The answer has a line of JSON for each piece of output, a sign of life every few seconds,
the files that come back, and last the exit code. Who closes the connection ends the command.
"""

import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from modelwright import processes, settings
from modelwright.api.asking import TAR, receive
from modelwright.api.routing import Router
from modelwright.api.streaming import Streamed
from modelwright.errors import ParcelInvalid
from modelwright.lifecycle import parcels
from modelwright.processes import terminals
from modelwright.records import Role
from modelwright.store import claims, hops
from modelwright.store.database import Store

router = Router("/commands")
PATH = "/commands"
_ANSWERING = "modelwright.cli.answering"


class Screen(BaseModel):
    """A terminal of the client's; its kind as `TERM` says."""

    model_config = ConfigDict(extra="forbid")

    columns: Annotated[int, Field(ge=1, le=10_000)] = 80
    lines: Annotated[int, Field(ge=1, le=10_000)] = 24
    kind: Annotated[str, Field(pattern=r"^[A-Za-z0-9._+-]{1,40}$")] = "dumb"


class Call(BaseModel):
    """What `call.json` says. `out` and `err` say which of the two is a terminal."""

    model_config = ConfigDict(extra="forbid")

    words: Annotated[list[str], Field(max_length=10_000)]
    wants: Annotated[list[str], Field(max_length=1000)] = []
    screen: Screen = Screen()
    out: bool = False
    err: bool = False
    zone: Annotated[str, Field(pattern=r"^(<[+-]\d{2,4}>[+-]?\d{1,2}(:\d{2})?)?$")] = ""


@router.post("", openapi_extra=TAR, responses={200: {"content": {"application/x-ndjson": {"schema": {}}}}})
async def obey(request: Request) -> Streamed:
    """Run a command of `wright`, and answer with what it prints; which role it takes the command says."""
    store: Store = request.app.state.store
    with contextlib.ExitStack() as held:
        folder = held.enter_context(claims.scratch_folder(store))
        await receive(request, folder / "parcel")
        command = Command(store, folder, await run_in_threadpool(_unpacked, folder))
        await run_in_threadpool(command.start, request.state.actor, request.state.role)
        command.held.push(held.pop_all())
    return Streamed(command)


def _unpacked(folder: Path) -> Call:
    with (folder / "parcel").open("rb") as parcel:
        parcels.unpack(parcel, folder / "sent")
    (folder / "parcel").unlink()
    (folder / "sent" / "files").mkdir(exist_ok=True)
    try:
        return Call.model_validate_json((folder / "sent" / "call.json").read_bytes())
    except (OSError, ValueError) as error:
        raise ParcelInvalid(reason=f'its "call.json" is missing or wrong: {error}') from error


class Command:
    """A command that was given from elsewhere: its process, what it prints, and the folder that it works in."""

    def __init__(self, store: Store, folder: Path, call: Call) -> None:
        """Take the folder that the call was unpacked in. What is in `held` is let go at the end."""
        self._store = store
        self._folder = folder
        self._call = call
        self._process: Any = None
        self.held = contextlib.ExitStack()
        self.files = folder.resolve() / "sent" / "files"
        self.streams: dict[str, int] = {}

    def start(self, actor: str, role: Role) -> None:
        """Start the process, in the name and role of who has given the command."""
        told, given = self._folder / "call.json", self._folder / "sent" / "input"
        call = {
            "workspace": str(self._store.folder.absolute()),
            "words": self._call.words,
            "role": role,
            "input": str(given) if given.is_file() else None,
        }
        told.write_text(json.dumps(call), encoding="utf-8")
        with contextlib.ExitStack() as opened, contextlib.ExitStack() as passed:
            writing = {}
            for name, is_screen in {"stdout": self._call.out, "stderr": self._call.err}.items():
                size = (self._call.screen.lines, self._call.screen.columns) if is_screen else None
                self.streams[name], writing[name] = terminals.pair(size)
                opened.callback(os.close, self.streams[name])
                passed.callback(os.close, writing[name])
            self._process = processes.start(
                [sys.executable, "-P", "-m", _ANSWERING, told],
                folder=self.files,
                environment=settings.own_environment() | self._environment(actor) | hops.variables(hops.present()),
                **writing,
            )
            self.held.push(opened.pop_all())

    def _environment(self, actor: str) -> dict[str, str]:
        screen = self._call.screen
        zone = {"TZ": self._call.zone} if self._call.zone else {}
        return zone | {"WRIGHT_ACTOR": actor, "TERM": screen.kind, "COLUMNS": str(screen.columns)}

    def wait(self) -> int:
        """Return the exit code once the process has ended."""
        code: int = self._process.wait()
        return code

    def made(self) -> Path | None:
        """Return a parcel with the files that are to come back; None when there are none."""
        if not self._call.wants:
            return None
        path = self._folder / "made"
        with path.open("wb") as parcel:
            parcels.pack(parcel, self.files, self._call.wants)
        return path

    def end(self) -> None:
        """End the process, as Ctrl-C does, if it goes on; delete what was sent. It takes no time: a thread does it."""
        threading.Thread(target=self._end, name="end of a command").start()

    def _end(self) -> None:
        if self._process.poll() is None:
            processes.interrupt(self._process)
        processes.end(self._process)
        self.held.close()  # not before: what it still prints would break it
