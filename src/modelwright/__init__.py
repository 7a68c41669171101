"""Modelwright: from a notebook to a model in production, with proof at every step."""

TYPE_CHECKING = False  # not from typing, which would take longer to import than all there is here
if TYPE_CHECKING:
    from modelwright.client import connect
    from modelwright.runs.inprocess import pipeline, step
    from modelwright.runs.recording import cancel_run, command
    from modelwright.runs.searching import search_runs
    from modelwright.runs.tracking import (
        active_run,
        dataset,
        log_artifact,
        log_figure,
        log_metric,
        log_metrics,
        log_parameter,
        log_parameters,
        log_table,
        note,
        set_tag,
        set_tags,
        start_run,
    )

__all__ = [
    "__version__",
    "active_run",
    "cancel_run",
    "command",
    "connect",
    "dataset",
    "log_artifact",
    "log_figure",
    "log_metric",
    "log_metrics",
    "log_parameter",
    "log_parameters",
    "log_table",
    "note",
    "pipeline",
    "search_runs",
    "set_tag",
    "set_tags",
    "start_run",
    "step",
]

__version__ = "0.1.0"

# Loaded when they are first asked for: importing the package does nothing else.
_HOMES = {
    "connect": "modelwright.client",
    "search_runs": "modelwright.runs.searching",
    **dict.fromkeys(("pipeline", "step"), "modelwright.runs.inprocess"),
    **dict.fromkeys(("cancel_run", "command"), "modelwright.runs.recording"),
}


def __getattr__(name: str) -> object:
    """Return a public name from the module that has it."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    found = getattr(import_module(_HOMES.get(name, "modelwright.runs.tracking")), name)
    globals()[name] = found  # from now on it is found without this function
    return found


def __dir__() -> list[str]:
    """Return the public names, those not loaded yet too."""
    return sorted({*globals(), *__all__})
