"""What is said through a front's control socket, by both sides: a u32 length and a JSON object, answered likewise.

Both say their protocol. A front lives on when the package is replaced by another build, and what one of them takes for
granted the other may not know: nothing is done then but `status` and `stop`, which all builds have.
"""

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelwright.errors import EndpointOutdated, EndpointUnresponsive, FolderNotWritable

# Raised whenever a command or an answer means something else than before; fields that came or went are noticed anyway.
PROTOCOL = 1
LENGTH_BYTES = 4
STOP, STATUS = "stop", "status"
_OF_ALL_BUILDS = frozenset({STOP, STATUS})
_FIELD = "protocol"


def framed(said: Mapping[str, Any]) -> bytes:
    """Return a command or an answer as it is sent."""
    data = json.dumps({**said, _FIELD: PROTOCOL}).encode()
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


def told_difference(command: Mapping[str, Any]) -> str:
    """Return why this build cannot carry out the command of another; nothing when it can."""
    spoken = command.get(_FIELD)
    return "" if spoken == PROTOCOL or command["command"] in _OF_ALL_BUILDS else _told(PROTOCOL, spoken)


def ask(endpoint: str, command: Mapping[str, Any], *, place: Path, timeout_seconds: float) -> dict[str, Any]:
    """Send a command to the endpoint's front, whose socket is at `place`, and return its answer.

    Raises FileNotFoundError or ConnectionError when nobody is there, EndpointUnresponsive when nothing is said,
    EndpointOutdated for a front of another protocol, and FolderNotWritable where there can be no socket.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_seconds)
        try:
            connection.connect(str(place))
            connection.sendall(framed(command))
            with connection.makefile("rb") as stream:
                length = int.from_bytes(stream.read(LENGTH_BYTES), "big")
                body = stream.read(length)
        except (TimeoutError, BlockingIOError) as error:
            reason = f"nothing was said for {timeout_seconds:g} s"
            raise EndpointUnresponsive(endpoint=endpoint, reason=reason) from error
        except (FileNotFoundError, ConnectionError):
            raise
        except OSError as error:  # it is not ours, or its path is longer than the system's 108 bytes
            reason = error.strerror or str(error)
            raise FolderNotWritable(folder=place.parent, reason=reason, option="XDG_RUNTIME_DIR") from error
    if not body or len(body) < length:
        raise ConnectionResetError
    answer: dict[str, Any] = json.loads(body)
    spoken = answer.pop(_FIELD, None)
    if spoken != PROTOCOL and command["command"] != STOP:
        raise EndpointOutdated(endpoint=endpoint, reason=_told(spoken, PROTOCOL))
    return answer


def _told(front: object, command: object) -> str:
    told = [f"protocol {each}" if isinstance(each, int) else "none yet" for each in (front, command)]
    return f"it speaks {told[0]}, the command {told[1]}"
