"""The endpoint's log: lines of the front as its workers write theirs, and an end to each file's growth.

The front and every worker append to one file. The front renames it when it is long enough, and begins the next; a
worker that writes notices within a second that the name leads elsewhere, and follows. What does not follow, such as a
library in C that writes by itself, is cut off when its file has become twice as long.
"""

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

from modelwright.models.guest.logs import one_word

_LOG = logging.getLogger(__name__)
# Files that are kept beside the one that is written.
KEPT = 3


class Lines(logging.Formatter):
    """Log lines as the worker writes them: time, request id, who, level, text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's lines, each with all of it."""
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"
        number = one_word(getattr(record, "request_id", "-"))
        prefix = f"{stamp} {number} front {record.levelname.lower()} "
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return "\n".join(prefix + line for line in text.splitlines())


class LogFile:
    """The file that standard output and error of this process go to."""

    def __init__(self, path: Path, *, descriptors: Sequence[int] = (1, 2)) -> None:
        """Take over the file, which `descriptors` are open on."""
        self._path = path
        self._descriptors = descriptors

    def check(self, most_bytes: int) -> None:
        """Begin a new file when the present one has so many bytes, or is gone."""
        try:
            self._check(most_bytes)
        except OSError as error:
            _LOG.error("the log could not be put aside: %s", error)

    def _check(self, most_bytes: int) -> None:
        if not self._path.exists():
            self._open()
        elif _size(self._path) >= most_bytes:
            for age in range(KEPT - 1, 0, -1):
                if older(self._path, age).exists():
                    older(self._path, age).replace(older(self._path, age + 1))
            self._path.replace(older(self._path, 1))
            self._open()
        for age in range(1, KEPT + 1):
            if _size(older(self._path, age)) > 2 * most_bytes:
                os.truncate(older(self._path, age), 0)
                _LOG.error("%s grew on after its time and was emptied", older(self._path, age).name)

    def _open(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for each in self._descriptors:
            os.dup2(descriptor, each)
        os.close(descriptor)


def older(path: Path, age: int) -> Path:
    """Return the name of the log that was begun so many files before the present one."""
    return path.with_name(f"{path.name}.{age}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
