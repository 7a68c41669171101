"""Exchanges to record, and what is read back of them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelwright.records import Exchange, new_request_id
from modelwright.serving.capture import segments
from modelwright.serving.capture.encoding import decoded


def exchange(number: int = 0, **said: Any) -> Exchange:
    """Return an exchange, the `number`-th of its kind."""
    told: dict[str, Any] = {
        "request_id": new_request_id(milliseconds=1_772_539_200_000 + number, randomness=bytes(10)),
        "received_at": 1_772_539_200.0 + number / 1000,
        "version": "diabetes:2",
        "deployment": "diabetes:2",
        "status": 200,
        "duration_ms": 1.5,
        "path": "/score",
        "headers": {"content-type": "application/json"},
        "input": b'{"data": [[%d]]}' % number,
        "output": b'{"result": [%d]}' % number,
        "output_type": "application/json",
    }
    return Exchange(**{**told, **said})


def read_back(folder: Path) -> list[Exchange]:
    """Return what the segments below a folder hold, in their order."""
    found = []
    for path in sorted(folder.glob("*.wal")):
        found += [decoded(each) for each in segments.Scan(path.read_bytes()).records()]
    return found


async def until(holds: Callable[[], object]) -> None:
    """Let the loop turn until something holds."""
    async with asyncio.timeout(120):
        while not holds():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.001)
