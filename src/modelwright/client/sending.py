"""Sends requests to a workspace's HTTP API and reads their answers, with the standard library alone."""

import contextlib
import json
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import quote, urlencode

from modelwright.errors import Refused, TokenUnknown, WorkspaceNotReached

_PIECE_BYTES = 1 << 20
Json = dict[str, Any]


class Sender:
    """Sends requests to one workspace, in the name of one token."""

    def __init__(self, url: str, token: str | None = None, *, timeout_seconds: float) -> None:
        """Take where the workspace is served; nothing is sent yet. Raises WorkspaceNotReached and TokenUnknown."""
        if not url.startswith(("http://", "https://")):
            raise WorkspaceNotReached(url=url, reason="that is no address such as http://HOST:PORT")
        self._url = url.rstrip("/")
        self._headers = credentials(token.strip() if token else None)
        self._opener = staying()
        self._timeout_seconds = timeout_seconds

    def get(self, path: str, **query: Any) -> Any:
        """Return what `GET path` answers. Raises Refused and WorkspaceNotReached, as all of these do."""
        return self.ask("GET", path, query=query)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """Return what `POST path` answers to the body, what JSON can hold."""
        return self.ask("POST", path, body=body, query=query)

    def put(self, path: str, body: Any = None, **query: Any) -> Any:
        """Return what `PUT path` answers to the body."""
        return self.ask("PUT", path, body=body, query=query)

    def patch(self, path: str, body: Any = None, **query: Any) -> Any:
        """Return what `PATCH path` answers to the body."""
        return self.ask("PATCH", path, body=body, query=query)

    def delete(self, path: str, **query: Any) -> Any:
        """Return what `DELETE path` answers."""
        return self.ask("DELETE", path, query=query)

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request, and return what JSON its answer holds."""
        data = None if body is None else json.dumps(body).encode()
        with self.open(method, path, data=data, query=query, headers=headers) as answer, reaching(self._url):
            return json.load(answer)

    def pages(self, path: str, **query: Any) -> Iterator[Any]:
        """Give the items of a list, page by page, for as long as there are more."""
        following = f"{path}{_asked(query)}"
        while following:
            with self.open("GET", following) as answer, reaching(self._url):
                found = json.load(answer)
                link = answer.headers.get("Link") or ""
            yield from found
            following = link.partition("<")[2].partition(">")[0]

    def open(
        self,
        method: str,
        path: str,
        *,
        data: bytes | IO[bytes] | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request, and return its answer to be read and closed."""
        told = self._headers | ({"Content-Type": "application/json"} if data is not None else {}) | dict(headers or {})
        with reaching(self._url):
            if not all(each.isascii() and each.isprintable() for each in told.values()):
                rule = "a header was to have what none can"  # without the value, which may be a key
                raise ValueError(rule)
            request = urllib.request.Request(  # noqa: S310 - http or https, as was seen at first
                f"{self._url}{path}{_asked(query or {})}", data=data, method=method, headers=told
            )
            try:
                return self._opener.open(request, timeout=self._timeout_seconds)
            except urllib.error.HTTPError as error:
                with error:
                    raise _refused(error) from error

    def download(self, path: str, into: Path | str) -> Path:
        """Write the file that `GET path` answers with to the new file `into`, whole or not at all; return where."""
        target = Path(into)
        with self.open("GET", path) as answer, target.open("xb") as file:
            try:
                for piece in self._pieces(answer):
                    file.write(piece)
            except BaseException:
                target.unlink()
                raise
        return target

    def _pieces(self, answer: Any) -> Iterator[bytes]:
        """Give the body of an answer. Raises WorkspaceNotReached when it breaks off."""
        size, whole = 0, int(answer.headers["Content-Length"] or 0)
        while True:
            with reaching(self._url):
                piece = answer.read(_PIECE_BYTES)
            if not piece:
                break
            size += len(piece)
            yield piece
        if size < whole:
            raise WorkspaceNotReached(url=self._url, reason=f"{size} of a file's {whole} bytes came")

    def download_all(self, path: str, names: Sequence[str], folder: Path) -> Path:
        """Write the files that `path` has under these names into the new `folder`, all or none, and return it."""
        targets = {name: _inside(folder, name) for name in names}
        folder.mkdir(parents=True)
        try:
            for name, target in targets.items():
                target.parent.mkdir(parents=True, exist_ok=True)
                self.download(f"{path}/{quote(name)}", target)
        except BaseException:
            shutil.rmtree(folder)
            raise
        return folder

    def upload(
        self, path: str, files: Sequence[Path | str], *, left_behind: frozenset[str] = frozenset(), **query: Any
    ) -> Json:
        """Send files and folders as an archive to `path`, each under its own name, and return the answer.

        What is called as one of `left_behind` does not go along, wherever it lies.
        """

        def is_sent(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
            return None if PurePosixPath(member.name).name in left_behind else member

        with tempfile.TemporaryFile() as archive:
            with tarfile.open(fileobj=archive, mode="w") as opened:
                for each in map(Path, files):
                    opened.add(each, arcname=each.resolve().name, filter=is_sent)
            archive.seek(0)
            length = {"Content-Type": "application/x-tar", "Content-Length": str(archive.seek(0, 2))}
            archive.seek(0)
            with self.open("POST", path, data=archive, query=query, headers=length) as answer, reaching(self._url):
                made: Json = json.load(answer)
                return made


def _asked(query: Mapping[str, Any]) -> str:
    """Return a query as it stands in a URL: lists are repeated, and what is None or empty is left out."""
    pairs = {name: each for name, each in query.items() if each not in (None, "")}
    told = {name: str(each).lower() if isinstance(each, bool) else each for name, each in pairs.items()}
    return f"?{urlencode(told, doseq=True)}" if told else ""


def _inside(folder: Path, name: str) -> Path:
    """Return where the file of that name lies in `folder`, never elsewhere, whatever a server says."""
    target = folder / name
    if not target.resolve().is_relative_to(folder.resolve()):
        raise Refused(message=f'"{name}" would lie outside "{folder}"', command="do not trust that server")
    return target


def _refused(error: urllib.error.HTTPError) -> Refused:
    elsewhere = error.headers.get("Location")
    command = f"if you trust it: {elsewhere}" if elsewhere else "see whether that is a workspace's address"
    try:
        told = dict(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        told = {"message": f"it answers {error.code} {error.reason}", "next_command": command}
    return Refused(told=told, http_status=error.code)


def credentials(token: str | None) -> dict[str, str]:
    """Return the header that shows a token, if there is one. Raises TokenUnknown for what no header can have."""
    if token and not (token.isascii() and token.isprintable()):  # whoever would send it would show it in a traceback
        raise TokenUnknown
    return {"Authorization": f"Bearer {token}"} if token else {}


def staying() -> urllib.request.OpenerDirector:
    """Return what opens addresses and follows nobody elsewhere, where the token would go along."""
    return urllib.request.build_opener(_PlainHandler, _SecureHandler, _Staying)


@contextlib.contextmanager
def reaching(url: str) -> Iterator[None]:
    """Raise WorkspaceNotReached for what goes wrong on the way to `url` and back, an address that is none included."""
    try:
        yield
    except (OSError, HTTPException, ValueError) as error:
        is_other = isinstance(error, json.JSONDecodeError | UnicodeDecodeError)
        reason = "what answers there is no workspace" if is_other else getattr(error, "reason", None) or str(error)
        raise WorkspaceNotReached(url=url, reason=reason or type(error).__name__) from error


class _Hearing(HTTPConnection):
    """Hears what a server says that refuses: it does not wait for the whole body."""

    def request(self, *given: Any, **named: Any) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            super().request(*given, **named)


class _SecureHearing(_Hearing, HTTPSConnection):
    """The same with TLS."""


class _PlainHandler(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(_Hearing, request)


class _SecureHandler(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(_SecureHearing, request)


class _Staying(urllib.request.HTTPRedirectHandler):
    """Takes the word that something is elsewhere for a refusal."""

    def redirect_request(self, *_: Any) -> None:
        return None
