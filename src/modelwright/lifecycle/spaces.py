"""What a parameter may be in a sweep, written as an expression such as `uniform(0.1, 1)`.

A space maps the numbers from 0 to 1 to its values so that equal shares of the one have equal shares of the other.
Samplers know these numbers only.
"""

import ast
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from modelwright.errors import SpaceInvalid

# Values that are computed, such as 3 * 0.1, are rounded to what was meant.
_DIGITS = 12
_WORDS = {"true": True, "false": False, "none": None, "null": None}
_NUMBERS = {"randint": 2, "uniform": 2, "quniform": 3, "loguniform": 2, "qloguniform": 3, "normal": 2}
_EXAMPLES = (
    "choice(rbf, linear), range(1, 10, 2), randint(1, 9), uniform(0.1, 1), quniform(0, 1, 0.1), loguniform(1e-4, 1)"
)


@dataclass(frozen=True)
class Space:
    """The values that a parameter may have."""

    text: str
    kind: str
    arguments: tuple[object, ...]

    def at(self, unit: float) -> object:
        """Return the value that lies at `unit`, from 0 up to and including 1."""
        if self.kind == "choice":
            return self.arguments[min(int(unit * len(self.arguments)), len(self.arguments) - 1)]
        first, second, *rest = self._numbers
        if self.kind == "normal":
            return NormalDist(first, second).inv_cdf(min(max(unit, 1e-9), 1 - 1e-9))
        if self.kind == "randint":
            return min(int(first + unit * (second - first + 1)), int(second))
        low, high = self._scaled(first), self._scaled(second)
        value = min(max(self._unscaled(low + unit * (high - low)), first), second)
        return _multiple(value, rest[0], low=first, high=second) if rest else value

    def unit_of(self, value: object) -> float:
        """Return where `value` lies; the middle of all the numbers that mean it."""
        if self.kind == "choice":
            return (self.arguments.index(value) + 0.5) / len(self.arguments)
        first, second, *_ = self._numbers
        number = float(str(value))
        if self.kind == "normal":
            return NormalDist(first, second).cdf(number)
        if self.kind == "randint":
            return (number - first + 0.5) / (second - first + 1)
        low, high = self._scaled(first), self._scaled(second)
        return (self._scaled(number) - low) / (high - low)

    def values(self) -> tuple[object, ...]:
        """Return all values, for a grid. Raises SpaceInvalid when there is no end of them."""
        if self.kind == "choice":
            return self.arguments
        first, second, *rest = self._numbers
        if self.kind == "randint":
            return tuple(range(int(first), int(second) + 1))
        if self.kind == "quniform":
            low = _multiple(first, rest[0], low=first, high=second)
            count = int(round((second - low) / rest[0], _DIGITS)) + 1
            return tuple(round(low + number * rest[0], _DIGITS) for number in range(count))
        raise SpaceInvalid(
            text=self.text, rule="a grid cannot try all its values, there is no end of them", examples=_EXAMPLES
        )

    @property
    def _numbers(self) -> tuple[float, ...]:
        return tuple(float(str(each)) for each in self.arguments)

    def _scaled(self, value: float) -> float:
        return math.log(value) if "log" in self.kind else value

    def _unscaled(self, value: float) -> float:
        return math.exp(value) if "log" in self.kind else value


def parse(text: str) -> Space:
    """Return the space that the expression `text` means. Raises SpaceInvalid."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise _invalid(text, "it cannot be read; words with other signs than letters need quotes") from error
    if isinstance(tree, ast.List | ast.Tuple):
        return _choice(text, [_value(text, each) for each in tree.elts])
    if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.keywords):
        raise _invalid(text, "it is no space of values")
    kind, arguments = tree.func.id, [_value(text, each) for each in tree.args]
    if kind in {"choice", "grid"}:
        return _choice(text, arguments)
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in arguments):
        raise _invalid(text, f"{kind} takes numbers")
    numbers = [float(str(each)) for each in arguments]
    if kind == "range":
        return _choice(text, _range(text, arguments, numbers))
    if kind not in _NUMBERS:
        raise _invalid(text, f'there is no "{kind}"')
    if len(numbers) != _NUMBERS[kind]:
        raise _invalid(text, f"{kind} takes {_NUMBERS[kind]} numbers")
    _check(text, kind, numbers)
    return Space(text, kind, tuple(arguments))


def _check(text: str, kind: str, numbers: Sequence[float]) -> None:
    first, second, *rest = numbers
    if kind == "normal":
        if second <= 0:
            raise _invalid(text, "the deviation must be above 0")
        return
    if first >= second:
        raise _invalid(text, "the first number must be below the second")
    if kind == "randint" and not (first.is_integer() and second.is_integer()):
        raise _invalid(text, "randint takes whole numbers")
    if "log" in kind and first <= 0:
        raise _invalid(text, "the numbers of a logarithmic space must be above 0")
    if rest and not 0 < rest[0] <= second - first:
        raise _invalid(text, "the last number is a step, and must fit between the others")


def _choice(text: str, values: Sequence[object]) -> Space:
    if not values:
        raise _invalid(text, "there is nothing to choose from")
    return Space(text, "choice", tuple(values))


def _range(text: str, arguments: Sequence[object], numbers: Sequence[float]) -> list[object]:
    """Return what Python's range gives, for floats too."""
    if len(numbers) not in {1, 2, 3} or (len(numbers) == 3 and numbers[2] == 0):  # noqa: PLR2004 - start, stop, step
        raise _invalid(text, "range takes a start, a stop that is left out, and a step")
    start, stop = (0.0, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1])
    step = numbers[2] if len(numbers) > 2 else 1.0  # noqa: PLR2004
    count = math.ceil(round((stop - start) / step, _DIGITS))
    found = [round(start + number * step, _DIGITS) for number in range(count)]
    return [int(each) for each in found] if all(isinstance(each, int) for each in arguments) else [*found]


def _value(text: str, node: ast.expr) -> object:
    """Return a literal; a bare word means itself."""
    if isinstance(node, ast.Name):
        return _WORDS.get(node.id.lower(), node.id)
    try:
        value: object = ast.literal_eval(node)
    except ValueError as error:
        raise _invalid(text, "its values must be numbers, words, or strings in quotes") from error
    return value


def _multiple(value: float, step: float, *, low: float, high: float) -> float:
    """Return the multiple of `step` nearest to `value` that is neither below `low` nor above `high`."""
    first, last = math.ceil(round(low / step, _DIGITS)), math.floor(round(high / step, _DIGITS))
    return round(min(max(round(value / step), first), last) * step, _DIGITS)


def _invalid(text: str, rule: str) -> SpaceInvalid:
    return SpaceInvalid(text=text, rule=rule, examples=_EXAMPLES)
