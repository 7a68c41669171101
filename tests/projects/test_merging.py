"""Three texts into one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.projects.merging import merge

BASE = "a\nb\nc\nd\ne\n"
TEXTS = st.lists(st.sampled_from("abc"), max_size=6).map(lambda lines: "".join(f"{each}\n" for each in lines))


@pytest.mark.parametrize(
    ("mine", "new", "expected"),
    [
        ("A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n", "A\nb\nc\nd\nE\n"),
        ("a\nb\nx\nc\nd\ne\n", "a\nb\nc\nd\n", "a\nb\nx\nc\nd\n"),
        ("a\nc\nd\ne\n", "a\nb\nc\nd\ne\nf\n", "a\nc\nd\ne\nf\n"),
        ("a\nB\nc\nd\ne\n", "a\nB\nc\nd\ne\n", "a\nB\nc\nd\ne\n"),
        ("a\nB\nc\nd\ne\n", "a\nX\nc\nd\ne\n", None),
        ("a\nb\nx\nc\nd\ne\n", "a\nb\ny\nc\nd\ne\n", None),
        ("a\nB\nc\nd\ne\n", "a\nc\nd\ne\n", None),
        ("a\nB\nc\nd\ne\n", "a\nb\nC\nd\ne\n", None),
    ],
)
def test_changes_of_both_sides_are_put_together_or_collide(mine: str, new: str, expected: str | None) -> None:
    assert merge(BASE, mine, new) == expected
    assert merge(BASE, new, mine) == expected


@given(TEXTS, TEXTS)
def test_a_side_that_changed_nothing_loses_nothing(base: str, other: str) -> None:
    assert merge(base, base, other) == other
    assert merge(base, other, base) == other
    assert merge(base, other, other) == other
