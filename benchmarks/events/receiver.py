"""A receiver of events that answers at once. Its first line is its port, every other says when which event came."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to everything; prints the event's id and the time."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take an event."""
        at = time.time()
        told = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(204)
        self.end_headers()
        sys.stdout.write(f"{told.get('id', '')} {at}\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until the input ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        print(server.server_address[1], flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
