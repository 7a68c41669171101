"""What a pipeline's last model sees, and from which of the user's columns each of its inputs comes.

A guest, loaded by path in the model's own environment. Names of inputs say what somebody meant; here it is found out:
one column after another is shuffled, and whichever inputs change come from it. So it holds for every transformer.
"""

from __future__ import annotations

from typing import Any


class MixedError(Exception):
    """An input of the model comes from several columns, so that its share cannot be given to one of them."""


def last_model(model: Any) -> tuple[Any, Any]:
    """Return the model at the end of searches and pipelines, and what prepares a table for it; None when nothing does.

    What prepares takes what the outermost model takes and returns the inner one's inputs.
    """
    found = getattr(model, "best_estimator_", None)
    if found is not None:
        return last_model(found)
    steps = getattr(model, "steps", None)
    if not (isinstance(steps, list) and hasattr(model, "named_steps")):
        return model, None
    inner, within = last_model(steps[-1][1])
    # Resamplers have no transform: they are for fitting only.
    transformers = [each for _, each in steps[:-1] if hasattr(each, "transform")]

    def prepare(table: Any) -> Any:
        for each in transformers:
            table = each.transform(table)
        return table if within is None else within(table)

    return inner, prepare


def inputs_of(table: Any, prepare: Any) -> Any:
    """Return what the last model gets for the table, as an array of floats. Raises ValueError when it is none."""
    import numpy as np

    prepared = table.build() if prepare is None else prepare(table.build())
    return np.asarray(getattr(prepared, "toarray", lambda: prepared)(), dtype=float)


def origins(table: Any, prepare: Any) -> Any:
    """Return for each input the number of the column that it comes from; -1 for one that never changes.

    Raises MixedError, which names the columns that one input comes from.
    """
    import numpy as np

    before = inputs_of(table, prepare)
    found = np.full(before.shape[1], -1)
    if prepare is None:
        return np.arange(before.shape[1])
    for number, name in enumerate(table.names):
        # Moved down by one, any function of this column alone that is not the same everywhere changes in some row.
        after = inputs_of(table.replaced(number, np.roll(table.columns[number], 1)), prepare)
        changed = ~np.isclose(before, after, rtol=1e-12, atol=0, equal_nan=True).all(axis=0)
        taken = changed & (found >= 0)
        if taken.any():
            other = table.names[found[taken][0]]
            message = f'its preparation makes one input of "{other}" and "{name}"'
            raise MixedError(message)
        found[changed] = number
    return found


def summed(values: Any, origin: Any, width: int) -> Any:
    """Return values by the user's columns from values by the model's inputs; both (rows, columns, outputs)."""
    import numpy as np

    found = np.zeros((values.shape[0], width, values.shape[2]))
    for number, column in enumerate(origin):
        if column >= 0:
            found[:, column] += values[:, number]
    return found
