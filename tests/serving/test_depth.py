"""Nesting of JSON, told from its brackets alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modelwright.serving.front.depth import is_too_deep

VALUES = some.recursive(
    some.none() | some.integers() | some.text(alphabet='[]{}"\\,: a', max_size=8),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text('[]{"', max_size=3), inner, max_size=3),
    max_leaves=25,
)


def depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(VALUES, some.integers(1, 6))
def test_depth_is_that_of_the_value(value: object, most: int) -> None:
    assert is_too_deep(json.dumps([value]).encode(), most) == (depth([value]) > most)


@pytest.mark.parametrize(
    ("body", "is_deep"),
    [
        (b"[" * 501 + b"]" * 501, True),
        (b"[" * 500 + b"]" * 500, False),
        (b"[" * 100_000, True),
        (b'{"a":' * 501 + b"1" + b"}" * 501, True),
        (b"[" + b"[1],[2]," * 100_000 + b"[3]]", False),
        (b'["' + b"[" * 600 + b'"]', False),
        (b'["' + b"]" * 600 + b'",' + b"[" * 501, True),
        (b"\x93NUMPY" + b"[" * 600, False),
        (b"", False),
        (b"[" * 400 + b'"' + b"[" * 600, False),
        (b"[" * 501 + b'"' + b'\\"' * 500_000, True),
        (b"[" * 501 + b'"\\' * 300_000, True),
    ],
    ids=range(12),
)
def test_bodies_that_are_too_deep(body: bytes, is_deep: bool) -> None:
    assert is_too_deep(body, 500) is is_deep
