"""The least that uvloop answers: `python protocol_echo.py PORT RESPONSE`.

Finds the end of the head and the length of the body, nothing more, and says what the file RESPONSE holds.
"""

import asyncio
import sys
from pathlib import Path

import uvloop

_BODY = Path(sys.argv[2]).read_bytes()
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_BODY) + _BODY
_LENGTH = b"Content-Length: "  # as the load generator writes it


class Echo(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where answers go."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        read = self._read + data if self._read else data
        while (end := read.find(b"\r\n\r\n")) >= 0:
            start = read.find(_LENGTH, 0, end) + len(_LENGTH)
            whole = end + 4 + int(read[start : read.index(b"\r\n", start)])
            if len(read) < whole:
                break
            read = read[whole:]
            self._transport.write(_ANSWER)  # type: ignore[attr-defined]
        self._read = read


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


uvloop.run(main())
