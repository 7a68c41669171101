"""Reads an endpoint's log: what its front, its workers and its scripts wrote, line by line."""

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from modelwright.records import LogLine
from modelwright.serving.front.logs import KEPT, older

LEVELS = ("debug", "info", "warning", "error", "critical")
_LINE = re.compile(rf"(\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z) (.+?) (\S+) ({'|'.join(LEVELS)}) (.*)", re.DOTALL)
# How loggers of scripts begin their lines: what they say of their level is truer than the stream they write to.
_SAID = re.compile(rf"\W*({'|'.join(LEVELS)})\b", re.IGNORECASE)
_POLL_SECONDS = 0.2


def read(log: Path, *, most: int, is_wanted: Callable[[LogLine], bool]) -> list[LogLine]:
    """Return the last lines that are wanted, at most so many, oldest first; older files are read when needed."""
    found: list[LogLine] = []
    for path in (log, *(older(log, age) for age in range(1, KEPT + 1))):
        if len(found) >= most:
            break
        found = [each for each in _lines(path) if is_wanted(each)] + found
    return found[-most:]


def follow(log: Path, *, is_wanted: Callable[[LogLine], bool]) -> Iterator[LogLine]:
    """Yield the lines that are wanted as they are written, from now on and for ever, through all files."""
    stream, rest = log.open("rb"), b""
    stream.seek(0, 2)
    try:
        while True:
            data = stream.read()
            *whole, rest = (rest + data).split(b"\n")
            yield from (each for each in map(parse, _texts(whole)) if is_wanted(each))
            if not data:
                if _is_put_aside(stream.fileno(), log):
                    stream.close()
                    stream = log.open("rb")
                else:
                    time.sleep(_POLL_SECONDS)
    finally:
        stream.close()


def parse(text: str) -> LogLine:
    """Return what a line says; one that was written past Python, as libraries in C do, is all text."""
    found = _LINE.fullmatch(text)
    if found is None:
        return LogLine(time="", request_id="", version="", level="info", text=text)
    moment, request_id, version, level, said = found.groups()
    own = _SAID.match(said)
    return LogLine(
        time=moment,
        request_id="" if request_id == "-" else request_id,
        version=version,
        level=own[1].lower() if own and version != "front" else level,
        text=said,
    )


def wanted(*, request_id: str | None, level: str | None) -> Callable[[LogLine], bool]:
    """Return the test for lines of a request, of a level or worse, or of both."""
    levels = LEVELS[LEVELS.index(level) :] if level else LEVELS
    return lambda line: line.level in levels and request_id in {None, line.request_id}


def _lines(path: Path) -> Iterator[LogLine]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    yield from map(parse, _texts(data.removesuffix(b"\n").split(b"\n") if data else ()))


def _texts(lines: Iterable[bytes]) -> Iterator[str]:
    return (line.decode("utf-8", "replace") for line in lines)


def _is_put_aside(descriptor: int, log: Path) -> bool:
    try:
        return not os.path.samestat(os.fstat(descriptor), log.stat())
    except FileNotFoundError:
        return False
