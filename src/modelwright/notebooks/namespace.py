"""Names that notebook commands bind: those of `%pylab` as imports, and those that nothing binds any more."""

import ast
import builtins
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelwright.notebooks import effects, names, unbound
from modelwright.records import Cell, Finding

# What stands for %pylab until all cells are read.
PYLAB = "from matplotlib.pylab import *  # %pylab"
PYLAB_MODULES_ONLY = "import matplotlib.pylab  # %pylab --no-import-all"

_MODULES = {
    "np": "import numpy as np",
    "numpy": "import numpy",
    "matplotlib": "import matplotlib",
    "plt": "import matplotlib.pyplot as plt",
    "pyplot": "from matplotlib import pyplot",
    "pylab": "from matplotlib import pylab",
    "mlab": "from matplotlib import mlab",
}
# Of Python's own functions these are replaced by numpy's.
_REPLACED = frozenset({"sum", "any", "all"})
_KNOWN = frozenset(dir(builtins)) | {"display", "get_ipython", "In", "Out", "exit", "quit"}


@dataclass(frozen=True)
class Lost:
    """A name that a command bound in the notebook: `name`, by `source` on `line` of `cell`."""

    name: str
    cell: int
    line: int
    source: str


def with_pylab_names(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells with `%pylab` as imports of what the notebook uses of it and does not bind itself."""
    if not any(PYLAB in each.code or PYLAB_MODULES_ONLY in each.code for each in cells):
        return list(cells)
    trees = [tree for each in cells for tree in _trees(each)]
    absent = frozenset[str]().union(*unbound.unbound_reads(trees))
    used = {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}
    modules = [line for name, line in _MODULES.items() if name in absent]
    members = sorted(((absent - _KNOWN) | (used & _REPLACED)) - _MODULES.keys())
    is_alone = sum(unbound.binds_anything(each) for each in trees) == 1
    imported = ", ".join(members) if is_alone else "*"
    everything = "; ".join([*modules, *([f"from matplotlib.pylab import {imported}"] if imported else [])])
    return [
        replace(each, code=each.code.replace(PYLAB, everything).replace(PYLAB_MODULES_ONLY, "; ".join(modules)))
        for each in cells
    ]


def lost_values(notebook: str, cells: Sequence[Cell], lost: Sequence[Lost]) -> list[Finding]:
    """Return a finding for each lost name that is read before something else binds it."""
    if not lost:
        return []
    placed = [(each.number, tree) for each in cells for tree in _trees(each)]
    known = names.build([tree for _, tree in placed], effects.summary)
    return [
        Finding(
            code="magic-value",
            message=f'"{each.name}" is the value of a notebook command, and a project has no notebook to ask',
            fix="write the command in plain Python",
            notebook=notebook,
            cell=each.cell,
            line=each.line,
            is_error=True,
        )
        for each in lost
        if _is_read(each, placed, known)
    ]


def _is_read(lost: Lost, placed: Sequence[tuple[int, ast.stmt]], known: names.Names) -> bool:
    for cell, tree in placed:
        if (cell, tree.lineno) >= (lost.cell, lost.line):
            own = effects.of(tree, known)
            if lost.name in own.reads:
                return True
            if lost.name in own.binds:
                return False
    return False


def _trees(cell: Cell) -> list[ast.stmt]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(cell.code).body
