"""Makes functions of trees: Python code of nested comparisons, or for large ones a walk over their tables.

Compiled, a step down a tree is one comparison of CPython's with a constant: 100 trees cost 10 µs for a row where
walking the tables costs 82 µs and scikit-learn 670 µs. But compiling takes 7 µs a node, so it is done up to a limit.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from modelwright.models.fusing import row_reading
from modelwright.models.fusing.arrays import Arrays

# What the sum of a row's trees is: a number, the text of a label, or None when this is not to be decided here.
Outcome = float | str | None

_COLUMNS = ("feature", "threshold", "left", "right", "missing_left", "value")
_NO_TREES = "its tables are no trees"
_MOST_COMPILED_NODES = 100_000
_PORTION_NODES = 2000
_MOST_COMPILED_DEPTH = 60  # Python's parser takes 200 parentheses inside each other


def tree_function(given: Arrays, labels: Sequence[str] | None) -> Callable[[Sequence[float]], Outcome]:
    """Return the function of a row that a model of trees is.

    It raises TypeError or ValueError for a row that is not one of numbers, as many as there are columns.
    """
    depth = check(given)
    names: dict[str, Any] = {"labels": labels}
    if len(given.arrays["feature"]) <= _MOST_COMPILED_NODES and depth <= _MOST_COMPILED_DEPTH:
        adding, parts = _compiled(given)
        names |= parts
    else:
        adding = _walking(given)
        names |= {name: given.arrays[name] for name in _COLUMNS}
        names |= {name: list(given.arrays[name]) for name in ("roots", "adds_to")}
    lines = [*row_reading.lines(given, is_single=bool(given.header["is_single"])), *adding, *_ending(given, labels)]
    source = "def evaluate(row):\n" + "".join(f" {line}\n" for line in lines)
    function: Callable[[Sequence[float]], Outcome] = row_reading.function(source, **names)
    return function


def check(given: Arrays) -> int:
    """Return how deep the trees are: each node comes before its children, and has one parent.

    Raises ValueError for tables that are no trees.
    """
    columns, outputs, width = (int(given.header[name]) for name in ("columns", "outputs", "width"))
    feature, left, right = (given.arrays[name] for name in ("feature", "left", "right"))
    count, roots, adds_to = len(feature), given.arrays["roots"].tolist(), given.arrays["adds_to"]
    sizes = {name: len(given.arrays[name]) for name in (*_COLUMNS, "start", "roots", "adds_to")}
    wanted = dict.fromkeys(_COLUMNS, count) | {"value": count * width, "start": outputs}
    is_sound = sizes == wanted | dict.fromkeys(("roots", "adds_to"), len(roots)) and columns > 0
    is_sound = is_sound and width in {1, outputs} and roots == sorted(set(roots)) and roots[:1] == [0]
    is_sound = is_sound and all(each == -1 if width > 1 else -1 <= each < outputs for each in adds_to)
    depth = [0] * count
    is_root = bytearray(count)
    for each in roots if is_sound and roots[-1] < count else ():
        is_root[each] = 1
    for node, column in enumerate(feature if any(is_root) else ()):
        if column >= columns or not (is_root[node] or depth[node]):
            break
        if column >= 0:
            for child in (left[node], right[node]):
                if not node < child < count or depth[child] or is_root[child]:
                    raise ValueError(_NO_TREES)
                depth[child] = depth[node] + 1
    else:
        if any(is_root):
            return max(depth)
    raise ValueError(_NO_TREES)


def _compiled(given: Arrays) -> tuple[list[str], dict[str, Any]]:
    """Return the lines that add up the trees, and the functions that they call: one for each portion of trees.

    Compiling holds up all threads, so it is done in small portions.
    """
    outputs, columns = int(given.header["outputs"]), int(given.header["columns"])
    totals = ", ".join(f"t{each}" for each in range(outputs))
    inputs = ", ".join(f"x{each}" for each in range(columns))
    lines = [f"t{output} = {value!r}" for output, value in enumerate(given.arrays["start"])]
    parts: dict[str, Any] = {}
    for portion in _portions(given):
        name = f"add{len(parts)}"
        text = "".join(f" {line}\n" for tree in portion for line in _adding(given, tree))
        source = f"def evaluate({totals}, {inputs}):\n{text} return {totals}\n"
        parts[name] = row_reading.function(source)
        lines.append(f"{totals} = {name}({totals}, {inputs})")
    return lines, parts


def _portions(given: Arrays) -> Iterator[list[int]]:
    """Give the trees in portions of about so many nodes."""
    roots = [*given.arrays["roots"], len(given.arrays["feature"])]
    portion: list[int] = []
    for tree, root in enumerate(roots[:-1]):
        portion.append(tree)
        if roots[tree + 1] - roots[portion[0]] >= _PORTION_NODES or root == roots[-2]:
            yield portion
            portion = []


def _adding(given: Arrays, tree: int) -> list[str]:
    """Return the lines that add one tree's value, an expression of comparisons, to the sums."""
    root, output, width = given.arrays["roots"][tree], given.arrays["adds_to"][tree], int(given.header["width"])
    expression = _expression(given, root, width)
    if width == 1:
        return [f"t{max(output, 0)} += {expression}"]
    values = [f"v{each}" for each in range(width)]
    return [f"{', '.join(values)}, = {expression}", *(f"t{each} += v{each}" for each in range(width))]


def _expression(given: Arrays, node: int, width: int) -> str:
    column = given.arrays["feature"][node]
    if column < 0:
        values = given.arrays["value"][node * width : (node + 1) * width]
        return repr(values[0]) if width == 1 else f"({', '.join(map(repr, values))},)"
    left = _expression(given, given.arrays["left"][node], width)
    right = _expression(given, given.arrays["right"][node], width)
    threshold = given.arrays["threshold"][node]
    # Every comparison with NaN is false, so what is asked tells where a missing value goes.
    if given.arrays["missing_left"][node]:
        return f"({right} if x{column} > {threshold!r} else {left})"
    return f"({left} if x{column} <= {threshold!r} else {right})"


def _walking(given: Arrays) -> list[str]:
    """Return the lines that add up the trees by walking down their tables."""
    outputs, width = int(given.header["outputs"]), int(given.header["width"])
    step = "node = right[node] if row[column] > threshold[node] else left[node]"
    other = "node = left[node] if row[column] <= threshold[node] else right[node]"
    lines = [
        f"totals = [{', '.join(map(repr, given.arrays['start']))}]",
        "for node, output in zip(roots, adds_to):",
        " column = feature[node]",
        " while column >= 0:",
        *(
            ["  if missing_left[node]:", f"   {step}", "  else:", f"   {other}"]
            if any(given.arrays["missing_left"])
            else [f"  {other}"]
        ),
        "  column = feature[node]",
    ]
    if width == 1:
        lines.append(" totals[output] += value[node]")
    else:
        lines += [f" totals[{each}] += value[node * {width} + {each}]" for each in range(width)]
    return [*lines, f"{', '.join(f't{each}' for each in range(outputs))}, = totals"]


def _ending(given: Arrays, labels: Sequence[str] | None) -> list[str]:
    """Return the lines that make the answer of the sums."""
    outputs, divide_by, answer = given.header["outputs"], given.header["divide_by"], given.header["answer"]
    totals = [f"t{each}" for each in range(outputs)]
    lines = [f"{each} /= {int(divide_by)}" for each in totals if divide_by is not None]
    if labels is None:
        return [*lines, "return t0 if t0 - t0 == 0.0 else None"]  # neither infinite nor NaN
    margin = float(answer["margin"])
    if answer["rule"] == "sign":
        return [*lines, f"return labels[1] if t0 > {margin!r} else labels[0] if t0 < -{margin!r} else None"]
    if len(labels) == 1:
        return [*lines, "return labels[0]"]
    lines += [f"totals = [{', '.join(totals)}]", "largest = max(totals)"]
    if margin:
        lines += ["first, second = sorted(totals)[-2:]", f"if second - first <= {margin!r}:", " return None"]
    return [*lines, "return labels[totals.index(largest)]"]
