"""The request and the answer of scoring scripts that speak HTTP themselves: `@rawhttp`, `AMLRequest`, `AMLResponse`.

Scripts know them from `azureml.contrib.services` and `azureml_inference_server_http.api`; those of the original are
made for the server that runs there, so ours stand in even where it is installed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Optional
from urllib.parse import parse_qsl, unquote

_RAW = "__modelwright_raw__"


def rawhttp(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have `run` called with the request itself."""
    setattr(function, _RAW, True)
    return function


def is_raw(function: Callable[..., Any]) -> bool:
    """Return whether a function wants the request itself."""
    return bool(getattr(function, _RAW, False))


class Headers(Mapping[str, str]):
    """Headers, found under any spelling of their names."""

    def __init__(self, given: Mapping[str, str]) -> None:
        """Hold `given`."""
        self._given = dict(given)
        self._names = {name.lower(): name for name in given}

    def __getitem__(self, name: str) -> str:
        """Return the value under a name."""
        return self._given[self._names[name.lower()]]

    def __iter__(self) -> Iterator[str]:
        """Go over the names."""
        return iter(self._given)

    def __len__(self) -> int:
        """Count the names."""
        return len(self._given)

    def __contains__(self, name: object) -> bool:
        """Return whether there is such a header."""
        return isinstance(name, str) and name.lower() in self._names


class Values(dict):  # type: ignore[type-arg]
    """Named values of which a name may have several: a look-up gives the first."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        """Hold `pairs` in their order."""
        super().__init__()
        self._all: dict[str, list[Any]] = {}
        for name, value in pairs:
            self.setdefault(name, value)
            self._all.setdefault(name, []).append(value)

    def get(self, name: str, default: Any = None, type: Optional[Callable[[Any], Any]] = None) -> Any:  # noqa: A002 - Flask's own
        """Return the first value of a name, as `type` makes it; the default where there is none, or it is no such."""
        found = super().get(name, default)
        if type is None or name not in self:
            return found
        try:
            return type(found)
        except (ValueError, TypeError):
            return default

    def getlist(self, name: str) -> list[Any]:
        """Return all values of a name."""
        return list(self._all.get(name, []))


class FileOfForm(io.BytesIO):
    """A file that a form brought."""

    def __init__(self, content: bytes, *, filename: str, content_type: str) -> None:
        """Hold the file's content."""
        super().__init__(content)
        self.filename = filename
        self.content_type = content_type


class AMLRequest:
    """A request, with the names that Flask gives its parts."""

    def __init__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
        """Take the request apart only as far as it is asked for. `path` is with the query."""
        self.method = method
        bare, _, query = path.partition("?")
        self.path = unquote(bare)
        self.full_path = f"{bare}?{query}"
        self.query_string = query.encode()
        self.headers = Headers(headers)
        self.data = body

    def get_data(self, cache: bool = True, as_text: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002 - Flask's own
        """Return the body."""
        return self.data.decode("utf-8", "replace") if as_text else self.data

    @property
    def args(self) -> Values:
        """The query's values."""
        return Values(parse_qsl(self.query_string.decode(), keep_blank_values=True))

    @property
    def content_type(self) -> Optional[str]:
        """What the body is said to be."""
        return self.headers.get("Content-Type")

    @property
    def mimetype(self) -> str:
        """The same, without parameters."""
        return (self.content_type or "").partition(";")[0].strip().lower()

    @property
    def content_length(self) -> int:
        """How long the body is, in bytes."""
        return len(self.data)

    @property
    def url(self) -> str:
        """The address that was asked for."""
        scheme = self.headers.get("X-Forwarded-Proto", "http")
        query = f"?{self.query_string.decode()}" if self.query_string else ""
        return f"{scheme}://{self.headers.get('Host', 'localhost')}{self.path}{query}"

    @property
    def is_json(self) -> bool:
        """Whether the body is said to be JSON."""
        return self.mimetype == "application/json" or self.mimetype.endswith("+json")

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return self.get_json()

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: ARG002, FBT001, FBT002
        """Return the body read as JSON; None when it is not said to be, or with `silent` when it is not."""
        if not (force or self.is_json):
            return None
        try:
            return json.loads(self.data)
        except ValueError:
            if silent:
                return None
            raise

    @property
    def form(self) -> Values:
        """The values of a form without its files."""
        if self.mimetype == "application/x-www-form-urlencoded":
            return Values(parse_qsl(self.data.decode(), keep_blank_values=True))
        return Values([(name, value) for name, value in self._parts() if isinstance(value, str)])

    @property
    def files(self) -> Values:
        """The files of a form."""
        return Values([(name, value) for name, value in self._parts() if not isinstance(value, str)])

    def _parts(self) -> Iterator[tuple[str, Any]]:
        if self.mimetype != "multipart/form-data":
            return
        # Only forms with files pay for what reads them.
        from email.parser import BytesParser
        from email.policy import HTTP

        head = f"Content-Type: {self.content_type}\r\n\r\n".encode()
        for part in BytesParser(policy=HTTP).parsebytes(head + self.data).iter_parts():
            name = str(part.get_param("name", "", header="content-disposition"))
            content: Any = part.get_payload(decode=True) or b""
            filename = part.get_filename()
            if filename is None:
                yield name, content.decode("utf-8", "replace")
            else:
                yield name, FileOfForm(content, filename=filename, content_type=part.get_content_type())


class AMLResponse:
    """An answer that a script words itself."""

    def __init__(
        self,
        message: Any,
        status_code: int,
        response_headers: Optional[Mapping[str, str]] = None,
        json_str: bool = False,  # noqa: FBT001, FBT002 - the original's signature
        run_function_failed: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        """Answer with `message`, made JSON of with `json_str`, or when it is no text."""
        is_text = isinstance(message, (str, bytes)) and not json_str
        text = message if is_text else json.dumps(message)
        self.response = text.encode() if isinstance(text, str) else text
        self.status_code = int(status_code)
        self.headers = dict(response_headers or {})
        self.content_type = "text/html; charset=utf-8" if is_text else "application/json"
        self.run_function_failed = run_function_failed

    def get_data(self, as_text: bool = False) -> Any:  # noqa: FBT001, FBT002 - as Flask's
        """Return the body."""
        return self.response.decode("utf-8", "replace") if as_text else self.response
