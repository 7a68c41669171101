"""DBOS at the same work: a durable workflow with one step that posts. Runs in an environment of its own.

`python dbos_posts.py DATABASE URL COUNT` prints as JSON how many seconds of a processor and of the clock it took.
"""

import http.client
import json
import resource
import sys
import time
import urllib.parse

from dbos import DBOS


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print."""
    database, url, count = sys.argv[1], urllib.parse.urlsplit(sys.argv[2]), int(sys.argv[3])
    DBOS(config={"name": "posts", "system_database_url": f"sqlite:///{database}", "log_level": "ERROR"})

    @DBOS.step()
    def post(body: str) -> int:
        connection = http.client.HTTPConnection(str(url.hostname), int(url.port or 80))
        connection.request("POST", url.path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    @DBOS.workflow()
    def publish(body: str) -> int:
        return post(body)

    DBOS.launch()
    for number in range(20):
        publish(json.dumps({"number": number}))
    used, begun = _cpu_seconds(), time.monotonic()
    for number in range(count):
        publish(json.dumps({"type": "model.registered", "number": number}))
    print(json.dumps({"cpu_seconds": _cpu_seconds() - used, "seconds": time.monotonic() - begun}))
    DBOS.destroy()


if __name__ == "__main__":
    main()
