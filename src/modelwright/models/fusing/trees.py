"""Makes functions of trees: Python code of nested comparisons, or for large ones a walk over their tables.

Compiled, a step down a tree is one comparison of CPython's with a constant: 100 trees cost 9 µs for a row where walking
the tables costs 53 µs and scikit-learn 2,600 µs. But compiling takes 7 µs and 200 bytes for a node, so only up to a limit.
"""

from collections.abc import Callable, Sequence

from modelwright.models.fusing import row_reading
from modelwright.models.fusing.arrays import Arrays

# What the sum of a row's trees is: a number, the text of a label, or None when this is not to be decided here.
Outcome = float | str | None

_MOST_COMPILED_NODES = 100_000
_MOST_COMPILED_DEPTH = 60  # Python's parser takes 200 parentheses inside each other


def tree_function(given: Arrays, labels: Sequence[str] | None) -> Callable[[Sequence[float]], Outcome]:
    """Return the function of a row that a model of trees is. Raises ValueError for tables that are no trees.

    It raises TypeError or ValueError for a row that is not one of numbers, as many as there are columns.
    """
    depth = _checked_depth(given)
    is_small = len(given.arrays["feature"]) <= _MOST_COMPILED_NODES and depth <= _MOST_COMPILED_DEPTH
    lines = [
        *row_reading.lines(given, is_single=bool(given.header["is_single"])),
        *(_compiled(given) if is_small else _walking(given)),
        *_ending(given, labels),
    ]
    source = "def evaluate(row):\n" + "".join(f" {line}\n" for line in lines)
    names = {name: given.arrays[name] for name in ("feature", "threshold", "left", "right", "missing_left", "value")}
    pairs = {name: list(given.arrays[name]) for name in ("roots", "adds_to")}
    function: Callable[[Sequence[float]], Outcome] = row_reading.function(source, **names, **pairs, labels=labels)
    return function


def _checked_depth(given: Arrays) -> int:
    """Return how deep the trees are, if they are trees: then each node comes before its children."""
    columns, outputs, width = (int(given.header[name]) for name in ("columns", "outputs", "width"))
    feature, left, right = (given.arrays[name] for name in ("feature", "left", "right"))
    count, roots, adds_to = len(feature), given.arrays["roots"], given.arrays["adds_to"]
    same = {len(given.arrays[name]) for name in ("threshold", "left", "right", "missing_left")}
    depth = [0] * count
    is_sound = same == {count} and len(given.arrays["value"]) == count * width and len(roots) == len(adds_to)
    is_sound = is_sound and columns > 0 and len(given.arrays["start"]) == outputs and width in {1, outputs}
    is_sound = is_sound and all(0 <= each < count for each in roots)
    is_sound = is_sound and all(each == -1 if width > 1 else -1 <= each < outputs for each in adds_to)
    if is_sound:
        for node, column in enumerate(feature):
            if column < 0:
                continue
            if column >= columns or not (node < left[node] < count and node < right[node] < count):
                is_sound = False
                break
            depth[left[node]] = depth[right[node]] = depth[node] + 1
    if not is_sound:
        raise ValueError("its tables are no trees")
    return max(depth, default=0)


def _compiled(given: Arrays) -> list[str]:
    """Return the lines that add up the trees, each tree an expression of comparisons."""
    lines = [f"t{output} = {value!r}" for output, value in enumerate(given.arrays["start"])]
    width = given.header["width"]
    for root, output in zip(given.arrays["roots"], given.arrays["adds_to"], strict=True):
        expression = _expression(given, root, width)
        if width == 1:
            lines.append(f"t{max(output, 0)} += {expression}")
        else:
            lines.append(f"{', '.join(f'v{each}' for each in range(width))}, = {expression}")
            lines += [f"t{each} += v{each}" for each in range(width)]
    return lines


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
    """Return the lines that make the answer of the sums t0, t1, …"""
    outputs, divide_by, answer = given.header["outputs"], given.header["divide_by"], given.header["answer"]
    totals = [f"t{each}" for each in range(outputs)]
    lines = [f"{each} /= {int(divide_by)}" for each in totals if divide_by is not None]
    if labels is None:
        return [*lines, "return t0"]
    margin = float(answer["margin"])
    if answer["rule"] == "sign":
        return [*lines, f"return labels[1] if t0 > {margin!r} else labels[0] if t0 < -{margin!r} else None"]
    if len(labels) == 1:
        return [*lines, "return labels[0]"]
    lines += [f"totals = [{', '.join(totals)}]", "largest = max(totals)"]
    if margin:
        lines += ["first, second = sorted(totals)[-2:]", f"if second - first <= {margin!r}:", " return None"]
    return [*lines, "return labels[totals.index(largest)]"]
