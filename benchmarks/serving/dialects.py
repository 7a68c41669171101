"""The requests of the soak: sizes, dialects and mistakes, each with the answers that are to be expected."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from clients import Asked, Expected, Rows

# What a wrong body may be called: a script that took it as text fails by itself.
_WRONG = frozenset({400, 415, 422, 500})


@dataclass(frozen=True)
class Material:
    """The numbers that are asked and, by version, those that are to be answered; by the number of rows."""

    endpoint: str
    model: str
    rows: dict[int, Rows]
    answers: dict[int, Expected]

    @classmethod
    def of(cls, folders: dict[str, Path], *, endpoint: str, model: str) -> "Material":
        """Read it from the folders of the versions."""
        first, counts = next(iter(folders.values())), (1, 100, 400)
        rows = {count: json.loads((first / f"rows-{count}.json").read_text()) for count in counts}
        answers = {
            count: {name: json.loads((each / f"answers-{count}.json").read_text()) for name, each in folders.items()}
            for count in counts
        }
        return cls(endpoint, model, rows, answers)

    def scored(self, path: str, body: object, *, rows: int, numbers: Any, method: str = "POST") -> Asked:
        """Return a request that is to be answered rightly."""
        data = b"" if method == "GET" else json.dumps(body).encode()
        return Asked(method, path, data, numbers=numbers, expected=self.answers[rows])


def _result(answer: Any) -> object:
    return answer["result"]


def right(material: Material) -> dict[str, Asked]:
    """Return the requests that are right, by what they are called; not every server knows every dialect."""
    row, hundred, many = (material.rows[count] for count in (1, 100, 400))
    flat = [number for each in row for number in each]
    tensor = {"name": "x", "shape": [1, len(flat)], "datatype": "FP64", "data": flat}
    service = f"/api/v1/service/{material.endpoint}/score"
    return {
        "row": material.scored("/score", {"data": row}, rows=1, numbers=_result),
        "hundred rows": material.scored("/score", {"data": hundred}, rows=100, numbers=_result),
        "400 rows": material.scored("/score", {"data": many}, rows=400, numbers=_result),
        "service path": material.scored(service, {"data": row}, rows=1, numbers=_result),
        "query": material.scored(f"/score?data={quote(json.dumps(row))}", None, rows=1, numbers=_result, method="GET"),
        "open inference": material.scored(
            f"/v2/models/{material.model}/infer",
            {"inputs": [tensor]},
            rows=1,
            numbers=lambda answer: answer["outputs"][0]["data"],
        ),
        "invocations": material.scored(
            "/invocations", {"inputs": row}, rows=1, numbers=lambda answer: answer["predictions"]
        ),
    }


def wrong(material: Material) -> dict[str, Asked]:
    """Return the requests that are wrong."""
    narrow = [each[:3] for each in material.rows[1]]
    bodies = {
        "cut off": b'{"data": [[1, 2',
        "empty": b"",
        "no JSON": b"hello",
        "not UTF-8": b"\xff\xfe{}",
        "words": b'{"data": [["a", "b"]]}',
        "three columns": json.dumps({"data": narrow}).encode(),
        "another key": b'{"rows": [[1]]}',
        "deep": b"[" * 3000 + b"]" * 3000,
    }
    asked = {name: Asked("POST", "/score", body, _WRONG) for name, body in bodies.items()}
    nowhere = Asked("POST", "/nowhere", b"{}", frozenset({404}), is_scored=False)
    put = Asked("PUT", "/score", b"{}", frozenset({405}), is_scored=False)
    long_id = Asked("POST", "/score", b"{}", frozenset({431}), headers=(("X-Request-Id", "x" * 101),), is_scored=False)
    return asked | {"nowhere": nowhere, "put": put, "long id": long_id}
