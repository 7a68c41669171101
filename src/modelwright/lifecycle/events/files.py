"""Events written to files: a line for each, or a file for each.

An event that comes again is not written again: its id is looked for. A line that was cut off by a power failure is left
alone, and the next one begins anew.
"""

import fcntl
import mmap
import os
import secrets
import time
from datetime import timedelta
from pathlib import Path
from typing import IO

import orjson

from modelwright import records
from modelwright.lifecycle.events.envelopes import Letter
from modelwright.records import Attempt, AttemptVerdict, Event, Subscription

# Repetitions come soon after the first time, or are known as such; only for those is the whole file looked through.
_LATEST_BYTES = 1 << 20
_SOON = timedelta(minutes=1)
_POLL_SECONDS = 0.01


def send(subscription: Subscription, event: Event, letters: list[Letter], *, attempt: int) -> Attempt:
    """Write an event to the subscription's file, or into its folder; when this returns it survives a power cut."""
    path = Path(subscription.target["path"])
    try:
        if subscription.target["is_folder"]:
            return _write_each(path, letters)
        is_repeated = attempt > 1 or records.now() - event.at > _SOON
        return _append(path, letters, is_repeated=is_repeated, patience_seconds=subscription.policy.timeout_seconds)
    except OSError as error:
        return Attempt(AttemptVerdict.AGAIN, f'"{path}" cannot be written to: {error.strerror or error}')


def _append(path: Path, letters: list[Letter], *, is_repeated: bool, patience_seconds: float) -> Attempt:
    with path.open("a+b") as file:
        _lock(file, patience_seconds)
        new = [each for each in letters if not _has(file, each.body["id"], is_repeated=is_repeated)]
        lines = b"".join(orjson.dumps(each.body) + b"\n" for each in new)
        if lines:
            file.write(lines if _ends_a_line(file) else b"\n" + lines)
            file.flush()
            os.fsync(file.fileno())
    return Attempt(AttemptVerdict.DELIVERED, "written" if new else "was there already")


def _lock(file: IO[bytes], patience_seconds: float) -> None:
    """Wait until nobody else writes to the file. Raises TimeoutError."""
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                told = "another program holds it locked"
                raise TimeoutError(told) from error
        time.sleep(_POLL_SECONDS)


def _write_each(folder: Path, letters: list[Letter]) -> Attempt:
    folder.mkdir(parents=True, exist_ok=True)
    new = [each for each in letters if not (folder / f"{each.body['id']}.json").exists()]
    for each in new:
        unfinished = folder / f".{secrets.token_hex(8)}"
        try:
            with unfinished.open("xb") as file:
                file.write(orjson.dumps(each.body, option=orjson.OPT_INDENT_2))
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(folder / f"{each.body['id']}.json")
        finally:
            unfinished.unlink(missing_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return Attempt(AttemptVerdict.DELIVERED, "written" if new else "was there already")


def _has(file: IO[bytes], event_id: str, *, is_repeated: bool) -> bool:
    size = file.seek(0, os.SEEK_END)
    wanted = f'"id":"{event_id}"'.encode()
    if not size:
        return False
    if is_repeated:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            return whole.find(wanted) >= 0
    file.seek(max(0, size - _LATEST_BYTES))
    return wanted in file.read()


def _ends_a_line(file: IO[bytes]) -> bool:
    if not file.seek(0, os.SEEK_END):
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
