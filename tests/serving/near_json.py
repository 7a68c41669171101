"""Bodies that are nearly requests, each answered twice: by the compiled part, and by what is written in Python.

`python near_json.py 1000000` tries so many and prints what it found; `make fuzz` runs it.
"""

import random
import re
import struct
import sys
from array import array
from collections import Counter

from modelwright.models.fusing import compiled
from modelwright.models.fusing.arrays import Arrays
from modelwright.models.fusing.evaluating import ArrayModel, Manner
from modelwright.serving.capture.encoding import decoded
from modelwright.serving.front.express import Made, Maker, Words, maker

_OWN = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}|exec-ms: [0-9.]+|date: [^\r]+")
_TOKENS = [
    b"{", b"}", b"[", b"]", b",", b":", b'"', b'"data"', b" ", b"\n", b"\t", b"\x00", b"\xff", b"-", b"+", b".", b"e",
    b"E", b"0", b"1", b"9", b"null", b"true", b"NaN", b"Infinity", b"-0", b"0.0", b"1e5", b"\\u0061", b"[[",
]  # fmt: skip


def linear(*, columns: int = 3, takes_whole: bool = True) -> tuple[Arrays, Manner]:
    """Return a linear model's arrays and manner."""
    header = {"kind": "linear", "columns": columns, "outputs": 1, "steps": [], "is_single": False}
    chance = random.Random(columns)
    arrays = {
        "coefficients": array("d", [chance.uniform(-2, 2) for _ in range(columns)]),
        "intercepts": array("d", [0.25]),
    }
    return Arrays(header | {"answer": {"kind": "number"}}, arrays), Manner(takes_whole=takes_whole)


def pair(arrays: Arrays, manner: Manner) -> tuple[Maker, Maker]:
    """Return what makes a model's answers, compiled and in Python."""
    words = Words(
        beginning="HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ",
        server="x-ms-server-version: here\r\n",
        ending="x-modelwright-version: déjà:1\r\n",
        about=b"churn:1\x00\x00",
    )
    native, compiled.native = compiled.native, None
    try:
        slow = maker(ArrayModel(arrays, manner), words, max_depth=100)
    finally:
        compiled.native = native
    return maker(ArrayModel(arrays, manner), words, max_depth=100), slow


def told(made: Made | None) -> object:
    """Return what there is to compare: everything but ids and times."""
    if made is None:
        return None
    number, whole, answer, record, _ = made
    assert whole.count(number.encode()) == 2
    exchange = decoded(record)
    assert (exchange.request_id, exchange.output) == (number, answer)
    return _OWN.sub(b"", whole), answer, exchange.input, exchange.status, exchange.version, exchange.deployment


def number(chance: random.Random) -> str:
    """Return a number as JSON may have it: of all lengths, near the middle of two doubles, large and tiny."""
    half = (2 * chance.randrange(1 << 52, 1 << 53) + 1) << chance.randrange(8)
    forms = (
        lambda: str(chance.randrange(-(10 ** chance.randrange(1, 24)), 10 ** chance.randrange(1, 24))),
        lambda: repr(struct.unpack("<d", chance.randbytes(8))[0]),
        lambda: f"{chance.uniform(-1e3, 1e3):.{chance.randrange(1, 25)}f}",
        lambda: f"{chance.uniform(-1, 1):.{chance.randrange(1, 25)}e}",
        lambda: f"{half // 10**3}.{half % 10**3 + chance.choice([-1, 0, 0, 1]):03}",
        lambda: "".join(chance.choices("0123456789.eE+-", k=chance.randrange(1, 12))),
        lambda: repr(chance.uniform(-5, 5)),
    )
    return chance.choice(forms)()


def body(chance: random.Random, columns: int) -> bytes:
    """Return a body that is a request, or was one before a byte or two of it changed."""
    count = columns if chance.random() < 0.9 else chance.randrange(columns + 3)
    space = chance.choice(["", "", " ", "\n\t"])
    row = f",{space}".join(number(chance) if chance.random() < 0.5 else repr(chance.random()) for _ in range(count))
    text = f'{space}{{{space}"data"{space}:{space}[{space}[{space}{row}{space}]{space}]{space}}}{space}'.encode()
    for _ in range(chance.choice([0, 0, 0, 1, 1, 2])):
        at = chance.randrange(len(text) + 1)
        text = text[:at] + chance.choice([b"", *_TOKENS]) + text[at + chance.randrange(3) :]
    return text[: chance.randrange(len(text) + 1)] if chance.random() < 0.02 else text


def check(chance: random.Random, makers: tuple[Maker, Maker], columns: int) -> bool:
    """Answer one body in both ways; fail where they differ. Return whether it was answered."""
    fast, slow = makers
    text = body(chance, columns)
    found = told(fast(text))
    assert found == told(slow(text)), f"answered otherwise: {text!r}"
    return found is not None


def main(count: int) -> None:
    """Try so many bodies."""
    makers = [
        (pair(*linear(columns=columns, takes_whole=whole)), columns) for columns, whole in ((1, True), (4, False))
    ]
    answered = Counter(check(random.Random(seed), *makers[seed % 2]) for seed in range(count))
    print(f"{count:,} bodies answered alike, {answered[True]:,} of them with numbers")


if __name__ == "__main__":
    main(int(sys.argv[1]))
