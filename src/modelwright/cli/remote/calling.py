"""The client's side: sends a command's words and files to where the workspace is, and shows what comes back."""

import contextlib
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
from base64 import b64decode
from collections.abc import Iterator, Mapping
from datetime import datetime
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from modelwright import settings
from modelwright.cli import output
from modelwright.cli.remote import logins
from modelwright.cli.remote.fitting import Needs
from modelwright.client.sending import credentials, reaching
from modelwright.errors import TokenUnknown, WorkspaceNotReached, WorkspaceRefused
from modelwright.lifecycle import parcels
from modelwright.store import hops

_PATIENCE_SECONDS = 60.0  # the server gives a sign of life every five
_CONNECT_SECONDS = 10.0
_IN_MEMORY_BYTES = 16_000_000
# What stands for a file that is there already, so that the server's command treats it as it would here.
_STAND_IN = b"a file that is there already\n"


def call(url: str, words: list[str], needs: object) -> int:
    """Have the command of these words done by the server at `url`; return its exit code.

    Raises WorkspaceNotReached, WorkspaceRefused, TokenUnknown and ParcelInvalid.
    """
    if not isinstance(needs, Needs):  # such as that of a group that has shown its help
        return 0
    with contextlib.ExitStack() as held:
        sent = held.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES))
        _pack(sent, words, needs)
        back = held.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES))
        with asking(url, "POST", "/commands", body=sent) as answer:
            code = _show(url, answer, back, needs)
        if back.tell():
            back.seek(0)
            _put(back, needs.wants)
        return code


@contextlib.contextmanager
def asking(
    url: str, method: str, path: str, *, body: IO[bytes] | None = None, token: str | None = None
) -> Iterator[HTTPResponse]:
    """Ask the server at `url`, with `token` or else the user's for it, and give its answer.

    Raises WorkspaceNotReached, and TokenUnknown or WorkspaceRefused for an answer that is none of success.
    """
    with contextlib.ExitStack() as held:
        with reaching(url):
            parts = urlsplit(url)
            kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
            connection = kind(parts.netloc.rpartition("@")[2], timeout=_CONNECT_SECONDS)
        headers = credentials(token or logins.find(url)) | {hops.HEADER: str(hops.present())}
        held.callback(connection.close)
        with reaching(url):
            answer = _sent(connection, method, parts.path.rstrip("/") + path, headers=headers, body=body)
            if answer.status != 200:  # noqa: PLR2004 - HTTP's own
                raise _refusal(url, answer)
        yield answer


def holder(url: str, token: str) -> dict[str, str]:
    """Return as whom, and in which role, the server at `url` takes who holds the token. Raises what `asking` does."""
    with asking(url, "GET", "/whoami", token=token) as answer, reaching(url):
        found: dict[str, str] = json.loads(answer.read())
        return found


def _sent(
    connection: HTTPConnection, method: str, path: str, *, headers: dict[str, str], body: IO[bytes] | None
) -> HTTPResponse:
    """Send a request, telling how far it is when it is large, and return the answer."""
    connection.connect()
    connection.sock.settimeout(_PATIENCE_SECONDS)
    size_bytes = _rewound(body) if body else 0
    if body:
        headers |= {"Content-Type": "application/x-tar", "Content-Length": str(size_bytes)}
    # A server that refuses does not wait for the whole body; what it says is worth more than that.
    with (
        output.progress("sending", is_silent=size_bytes < _IN_MEMORY_BYTES, are_bytes=True) as report,
        contextlib.suppress(BrokenPipeError, ConnectionResetError),
    ):
        told = _Told(body, size_bytes, report) if body else None
        connection.request(method, path, told, headers)
    return connection.getresponse()


class _Told(io.RawIOBase):
    """A body that tells how much of it was read."""

    def __init__(self, body: IO[bytes], size_bytes: int, report: Any) -> None:
        self._body = body
        self._size_bytes = size_bytes
        self._report = report

    def read(self, size: int = -1) -> bytes:
        piece = self._body.read(size)
        if piece:
            self._report(self._body.tell(), self._size_bytes)
        return piece


def _rewound(body: IO[bytes]) -> int:
    size_bytes = body.seek(0, os.SEEK_END)
    body.seek(0)
    return size_bytes


def _refusal(url: str, answer: HTTPResponse) -> Exception:
    try:
        told = json.loads(answer.read())["error"]
        code, reason, following = told["code"], told["message"], told["next_command"]
    except (ValueError, KeyError, TypeError):
        code, reason, following = "", f"it answers {answer.status} {answer.reason}", f"is {url} a workspace's?"
    if code == TokenUnknown.code:
        refused = TokenUnknown()
        refused.next_command = f"wright login {url}"
        return refused
    return WorkspaceRefused(url=url, reason=reason, next=following)


def _pack(into: IO[bytes], words: list[str], needs: Needs) -> None:
    """Write the call and what it needs as a parcel."""
    streams = {"out": sys.stdout, "err": sys.stderr}
    size = shutil.get_terminal_size()
    told = {
        "words": words,
        "wants": needs.wants,
        "screen": {"columns": size.columns, "lines": size.lines, "kind": settings.terminal()},
        "zone": _zone(datetime.now().astimezone()),
        **{name: stream.isatty() for name, stream in streams.items()},
    }
    with tarfile.open(fileobj=into, mode="w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, "call.json", json.dumps(told).encode())
        if needs.reads_input:
            _add(archive, "input", sys.stdin.buffer.read())
        parcels.add(archive, Path.cwd(), needs.sends, below="files")
        for each in needs.wants:
            _add_stand_in(archive, each)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _add_stand_in(archive: tarfile.TarFile, wanted: str) -> None:
    """Add what stands for what is at a place where something is to be written, and for the folder that it is in."""
    path, target = Path(wanted).expanduser(), f"files/{parcels.place(wanted)}"
    folder = tarfile.TarInfo(target if path.is_dir() else target.rpartition("/")[0])
    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
    if path.parent.is_dir():
        archive.addfile(folder)
    if path.is_file():
        _add(archive, target, _STAND_IN)
    elif path.is_dir() and any(path.iterdir()):
        _add(archive, f"{target}/{_STAND_IN.decode().strip()}", _STAND_IN)


def _zone(moment: datetime) -> str:
    """Return the user's zone as POSIX writes it in TZ: its name, and what to add to get UTC."""
    offset = moment.utcoffset()
    minutes = int(offset.total_seconds() // 60) if offset else 0
    return f"<{moment:%z}>{'-' if minutes > 0 else ''}{abs(minutes) // 60}:{abs(minutes) % 60:02d}"


def _show(url: str, answer: HTTPResponse, back: IO[bytes], needs: Needs) -> int:
    """Print what the command prints, write the files that it gives to `back`, and return its exit code."""
    streams = {"stdout": sys.stdout, "stderr": sys.stderr}
    names = dict[str, str]()
    for told in _lines(url, answer):
        if "folder" in told:
            names = _names(told["folder"], needs)
        for name, stream in streams.items():
            if name in told:
                stream.buffer.write(_renamed(told[name], names).encode("utf-8", "surrogateescape"))
                stream.flush()
        if "parcel" in told:
            back.write(b64decode(told["parcel"]))
        if "exit" in told:
            code: int = told["exit"]
            return code
    raise WorkspaceNotReached(url=url, reason="it ended before the command did")


def _lines(url: str, answer: HTTPResponse) -> Iterator[dict[str, Any]]:
    while True:
        with reaching(url):
            line = answer.readline()
            if not line.endswith(b"\n"):
                return
            told = json.loads(line)
        yield told


def _names(folder: str, needs: Needs) -> dict[str, str]:
    """Return what the server calls the user's files, and what the user does; longest first."""
    places = {each: str(parcels.place(each)) for each in needs.files}
    whole = {f"{folder}/{there}": str(Path(each).expanduser().absolute()) for each, there in places.items()}
    moved = {there: each for each, there in places.items() if PurePosixPath(each) != PurePosixPath(there)}
    return dict(sorted(whole.items(), reverse=True)) | moved | {folder: str(Path.cwd())}


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for there, here in names.items():
        text = text.replace(there, here)
    return text


def _put(parcel: IO[bytes], wanted: tuple[str, ...]) -> None:
    """Put the files that have come back where the command was to write them, and nowhere else."""
    with tempfile.TemporaryDirectory(prefix="wright-") as folder:
        parcels.unpack(parcel, Path(folder))
        for each in wanted:
            made, target = Path(folder, parcels.place(each)), Path(each).expanduser()
            if made.is_dir():
                shutil.copytree(made, target, dirs_exist_ok=True, ignore=_stand_ins)
            elif made.exists():
                _put_file(made, target)


def _put_file(made: Path, target: Path) -> None:
    """Write the file anew, or add what the command has added to the one that stands for it."""
    with made.open("rb") as source:
        is_added = source.read(len(_STAND_IN)) == _STAND_IN
        source.seek(len(_STAND_IN) if is_added else 0)
        with target.open("ab" if is_added else "wb") as file:
            shutil.copyfileobj(source, file)


def _stand_ins(_folder: str, names: list[str]) -> list[str]:
    return [each for each in names if each == _STAND_IN.decode().strip()]
