"""Standard output and error of a scoring process: lines of a log that carry the request's id."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
import traceback
from typing import BinaryIO

_STANDARD_ERROR = 2


class _Current:
    """What is worked on; an object of its own, since Python looks all up anew for a class that was changed."""

    __slots__ = ("request_id",)

    def __init__(self) -> None:
        self.request_id = "-"


current = _Current()


class LogStream(io.TextIOBase):
    """Standard output or error of the script: each line goes to the log with the time and the request's id."""

    version = "-"
    # The log's path, and until when it need not be asked whether that still leads to our file.
    path: str | None = None
    is_ours_until = 0.0

    def __init__(self, descriptor: int) -> None:
        """Write to `descriptor`."""
        self._descriptor = descriptor
        self._level = "error" if descriptor == _STANDARD_ERROR else "info"
        self.rest = ""
        self._lock = threading.RLock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """How text becomes bytes."""
        return "utf-8"

    @property
    def buffer(self) -> BinaryIO:
        """A stream for bytes, as `sys.stdout.buffer` is; what goes here has no request id."""
        return io.FileIO(self._descriptor, "wb", closefd=False)

    def fileno(self) -> int:
        """Return the descriptor of the log."""
        return self._descriptor

    @property
    def name(self) -> str:
        """What the stream is called, as Python's own are."""
        return "<stderr>" if self._descriptor == _STANDARD_ERROR else "<stdout>"

    def reconfigure(self, **_options: object) -> None:
        """Go on as before, whatever a script would have changed: lines of the log are UTF-8, and written at once."""

    def writable(self) -> bool:
        """Say that text can be written."""
        return True

    def write(self, text: str) -> int:
        """Keep `text` until its line is whole, then log it."""
        with self._lock:
            *lines, self.rest = (self.rest + text).split("\n")
            if lines:
                self._log(lines)
        return len(text)

    def end_line(self) -> None:
        """Log what was written without a newline."""
        if not self.rest:
            return
        with self._lock:
            rest, self.rest = self.rest, ""
            self._log([rest])

    def _log(self, lines: list[str]) -> None:
        milliseconds = int(time.time() * 1000)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds / 1000))
        number = one_word(current.request_id)
        prefix = f"{stamp}.{milliseconds % 1000:03d}Z {number} {LogStream.version} {self._level} "
        data = "".join(f"{prefix}{line}\n" for line in lines).encode("utf-8", "backslashreplace")
        try:
            _follow()
            os.write(self._descriptor, data)  # one write: lines of several processes do not mix
        except OSError:
            # A full disk must not turn a print into a failed request.
            return


def _follow() -> None:
    """Write to the file that has the log's name, if the front has put ours aside. Asked once a second at most."""
    moment = time.monotonic()
    if LogStream.path is None or moment < LogStream.is_ours_until:
        return
    LogStream.is_ours_until = moment + 1.0
    descriptor = os.open(LogStream.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        if not os.path.samestat(os.fstat(descriptor), os.fstat(_STANDARD_ERROR)):
            for each in (1, _STANDARD_ERROR):
                os.dup2(descriptor, each)
    finally:
        os.close(descriptor)


def one_word(request_id: str) -> str:
    """Return an id as it stands in a line: a client chose it, and must not say what comes after it."""
    return request_id.replace("%", "%25").replace(" ", "%20")


def take_over(version: str, path: str | None) -> None:
    """Make lines of the log at `path`, which we write to already, of whatever is printed from here on."""
    LogStream.version, LogStream.path = version, path
    sys.stdout, sys.stderr = LogStream(1), LogStream(2)


def log_failure() -> None:
    """Log the exception that is being handled, unless the script has put something broken in the place of the log."""
    with contextlib.suppress(Exception):
        traceback.print_exc()


def end_request() -> None:
    """Log what the request left unfinished; lines after it belong to no request."""
    for each in (sys.stdout, sys.stderr):
        if isinstance(each, LogStream) and each.rest:
            each.end_line()
    current.request_id = "-"
