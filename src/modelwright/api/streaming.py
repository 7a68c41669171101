"""The answer to a command: what it prints as it prints it, in lines of JSON, until it ends or nobody listens."""

import asyncio
import base64
import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from modelwright.errors import ModelwrightError
from modelwright.processes import terminals

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

# How often a sign of life is sent while nothing is printed; clients and proxies give up after a minute or so.
_BEAT_SECONDS = 5.0
_PIECE_BYTES = 48 * 1024


class Printing(Protocol):
    """A process that was started, what it prints, by the name of the stream, and the folder with its files."""

    streams: dict[str, int]
    files: Path

    def wait(self) -> int:
        """Return the exit code once it has ended."""

    def made(self) -> Path | None:
        """Return a parcel with the files that are to come back."""

    def end(self) -> None:
        """End it if it goes on, and clear up."""


class Streamed(Response):
    """The answer with what a process prints."""

    media_type = "application/x-ndjson"

    def __init__(self, printing: Printing) -> None:
        """Answer with what `printing` prints."""
        super().__init__()
        del self.headers["content-length"]
        self._printing = printing
        self._lock = asyncio.Lock()

    async def __call__(self, _scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Send it all, and end the process when the client has gone."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        tasks = [asyncio.ensure_future(each) for each in (self._tell(send), _gone(receive), self._beat(send))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done():
                tasks[0].result()
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.sleep(0)  # so that nobody waits for the streams any more
            self._printing.end()

    async def _tell(self, send: "Send") -> None:
        await self._line(send, {"folder": str(self._printing.files)})
        await asyncio.gather(*(self._pass(name, each, send) for name, each in self._printing.streams.items()))
        code = await run_in_threadpool(self._printing.wait)
        try:
            parcel = None if code else await run_in_threadpool(self._printing.made)
        except ModelwrightError as error:
            await self._line(send, {"stderr": f"error [{error.code}] {error}\n"})
            parcel, code = None, 1
        if parcel:
            for piece in _pieces(parcel):
                await self._line(send, {"parcel": piece})
        await self._line(send, {"exit": code})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pass(self, name: str, descriptor: int, send: "Send") -> None:
        """Send what comes from a stream until it is closed."""
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        while True:
            await _readable(descriptor)
            piece = terminals.read(descriptor)
            text = decoder.decode(piece, final=not piece)
            if text:
                await self._line(send, {name: text})
            if not piece:
                return

    async def _beat(self, send: "Send") -> None:
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            await self._line(send, {})

    async def _line(self, send: "Send", told: dict[str, object]) -> None:
        async with self._lock:
            body = json.dumps(told).encode() + b"\n"
            await send({"type": "http.response.body", "body": body, "more_body": True})


def _pieces(parcel: Path) -> Iterator[str]:
    with parcel.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield base64.b64encode(piece).decode()


async def _gone(receive: "Receive") -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
