"""Where random draws start: both sides of a conversion start from one seed where the notebook sets none."""

from collections.abc import Sequence

from modelwright.notebooks import effects

SEED = 0

# Sets of texts are gone through in the order of their hashes; figures are drawn for no screen.
ENVIRONMENT = {"PYTHONHASHSEED": str(SEED), "MPLBACKEND": "Agg"}

# The module of each shared random state, and its function that seeds it.
FUNCTIONS = {
    effects.NUMPY_RANDOM: ("numpy", "random.seed"),
    effects.PYTHON_RANDOM: ("random", "seed"),
    effects.TORCH_RANDOM: ("torch", "manual_seed"),
}
# Too slow to import for notebooks that do without.
_ONLY_IF_NAMED = frozenset({"torch"})
# Modules that draw when they are first imported, by the library that imports them. A project imports all it needs
# before it seeds; a notebook that is seeded first would be a few draws ahead.
_DRAWING_IMPORTS = {"sklearn": "rich.progress"}


def code(cells: Sequence[str]) -> str:
    """Return code to run before a notebook's `cells`; a notebook that seeds its draws itself overrules it."""
    lines = [
        f"if __import__('importlib.util').util.find_spec('{module.partition('.')[0]}'): __import__('{module}')"
        for library, module in _DRAWING_IMPORTS.items()
        if any(library in each for each in cells)
    ]
    lines += [
        f"if __import__('importlib.util').util.find_spec('{module}'): __import__('{module}').{function}({SEED})"
        for module, function in FUNCTIONS.values()
        if module not in _ONLY_IF_NAMED or any(module in each for each in cells)
    ]
    return "\n".join(lines)
