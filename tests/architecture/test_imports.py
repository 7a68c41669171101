"""Starting is quick because nothing heavy is loaded before it is needed."""

import subprocess
import sys

import pytest

import modelwright

# Each takes longer to import than `wright --help` may take in all.
HEAVY = {
    "IPython", "alembic", "asyncio", "blake3", "fastapi", "httptools", "joblib", "jupyter_client", "libcst",
    "matplotlib", "nbclient", "nbformat", "numpy", "pandas", "psutil", "sklearn", "sqlalchemy", "traitlets",
    "uvicorn", "zmq",
}  # fmt: skip
PUBLIC_NAMES = [
    "__version__", "active_run", "cancel_run", "command", "connect", "dataset", "log_artifact", "log_figure",
    "log_metric", "log_metrics", "log_parameter", "log_parameters", "log_table", "note", "pipeline", "search_runs",
    "set_tag", "set_tags", "start_run", "step",
]  # fmt: skip


def loaded_by(program: str) -> set[str]:
    """Return the top-level modules that a fresh Python has after running the program."""
    told = f"import sys\ntry:\n    {program}\nexcept SystemExit: pass\nprint('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True)
    line = done.stdout.rpartition("LOADED")[2]
    return {name.partition(".")[0] for name in line.split()}


def test_importing_the_package_loads_nothing_else() -> None:
    assert loaded_by("import modelwright") - loaded_by("pass") == {"modelwright"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["endpoint", "--help"], ["ship", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    program = f"sys.argv = {['wright', *arguments]!r}; from modelwright.cli import main; main()"
    assert not loaded_by(program) & HEAVY


def test_the_process_that_idles_has_loaded_nothing_that_computes() -> None:
    loaded = loaded_by("import modelwright.api.server, modelwright.api.app")
    assert not loaded & {"numpy", "pandas", "pyarrow", "sklearn", "onnx", "libcst", "rich"}


def test_the_public_names_are_these() -> None:
    assert sorted(modelwright.__all__) == PUBLIC_NAMES
    assert all(hasattr(modelwright, name) for name in PUBLIC_NAMES)
