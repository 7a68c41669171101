"""Every error names the thing, the rule broken and the next command."""

import re
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from string import Formatter

import pytest

from modelwright import errors
from modelwright.errors import ModelwrightError


def descendants(parent: type[ModelwrightError]) -> Iterator[type[ModelwrightError]]:
    """Give every class below `parent`."""
    for child in parent.__subclasses__():
        yield child
        yield from descendants(child)


ERRORS = sorted(set(descendants(ModelwrightError)), key=lambda each: each.__name__)


def facts_of(error: type[ModelwrightError]) -> dict[str, object]:
    """Return a value for each fact that the class's texts name; a number where one is formatted as such."""
    fields = [field for text in (error.problem, error.remedy) for field in Formatter().parse(text) if field[1]]
    return {str(name).partition(".")[0]: 3 if form else "THING" for _, name, form, _ in fields}


@pytest.mark.parametrize("error", ERRORS, ids=lambda each: each.__name__)
def test_an_error_formats_from_its_facts(error: type[ModelwrightError]) -> None:
    raised = error(**facts_of(error))
    assert str(raised)
    assert raised.next_command
    assert "{" not in str(raised) + raised.next_command


@pytest.mark.parametrize("error", ERRORS, ids=lambda each: each.__name__)
def test_an_error_has_a_code_a_status_and_a_docstring(error: type[ModelwrightError]) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", error.code)
    assert HTTPStatus(error.status).value >= HTTPStatus.BAD_REQUEST
    assert error.__doc__
    assert error.__doc__ != ModelwrightError.__doc__


def test_codes_are_unique() -> None:
    assert [code for code, count in Counter(each.code for each in ERRORS).items() if count > 1] == []


def test_every_error_stands_in_the_one_file() -> None:
    assert {each.__module__ for each in ERRORS} == {errors.__name__}
