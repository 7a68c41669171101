"""Receivers of webhooks: real sockets that answer as they are told, well or badly."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Answer = Callable[["Request"], bytes]
# Who connects and says nothing is not waited for for ever.
_SILENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A listening socket, all that it was sent, and how many bytes it has answered one by one."""

    port: int
    requests: list[Request] = field(default_factory=list)
    dripped: int = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/hook?team=a"


def reply(status: str = "200 OK", *, body: bytes = b"", **headers: str) -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextlib.contextmanager
def receiving(
    answer: Answer, *, wrap: Callable[[socket.socket], socket.socket] | None = None, drip_seconds: float = 0.0
) -> Iterator[Receiver]:
    """A receiver that answers each request with these bytes, at once or so slowly a byte."""
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        receiver = Receiver(listener.getsockname()[1])

        def serve() -> None:
            while not stopped.is_set():
                try:
                    raw, _ = listener.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError):
                    raw.settimeout(_SILENCE_SECONDS)
                    connection = wrap(raw) if wrap else raw
                    with connection:
                        found = _read(connection)
                        if found is None:
                            continue
                        receiver.requests.append(found)
                        _write(connection, answer(found))

        def _write(connection: socket.socket, said: bytes) -> None:
            if not drip_seconds:
                connection.sendall(said)
                return
            for each in said:
                if stopped.wait(drip_seconds):
                    return
                connection.sendall(bytes([each]))
                receiver.dripped += 1

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield receiver
        finally:
            stopped.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(_SILENCE_SECONDS)


def _read(connection: socket.socket) -> Request | None:
    said = b""
    while b"\r\n\r\n" not in said:
        piece = connection.recv(65536)
        if not piece:
            return None
        said += piece
    head, _, body = said.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        piece = connection.recv(65536)
        if not piece:
            return None
        body += piece
    method, path, _ = first.split(" ")
    return Request(method, path, headers, body)
