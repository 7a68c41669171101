"""What `import modelwright` means inside a step. Standard library only; the step's own environment has none of ours.

A step may say what it found out while it runs (`log_metric`, `set_tag`, `log_artifact`, …): each is a line of JSON in
the file that `WRIGHT_RECORDS` names, which the host reads as it grows. `step` and `pipeline` mark functions; what they
are given is read from the source by the host and changes nothing here. `command` makes a step of any executable.
"""

from __future__ import annotations

import io
import json
import math
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "cancel_run",
    "command",
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
    "set_tag",
    "set_tags",
    "step",
]

_POLL_SECONDS = 0.005
_CANCELLED = 86  # the exit code of a step that cancels its run


def step(function: Callable[..., Any] | None = None, **_options: Any) -> Any:
    """Mark a function as a step."""
    return function if function is not None else lambda marked: marked


def pipeline(function: Callable[..., Any] | None = None, **_options: Any) -> Any:
    """Mark a function as a pipeline."""
    return function if function is not None else lambda marked: marked


def log_metric(name: str, value: float, *, step: int | None = None) -> None:
    """Add a value to a metric of the run; without `step` it counts on from the last one, beginning with 0."""
    if isinstance(value, (bool, str, bytes)):
        message = 'metric "{}" is {!r}, and a metric is a number; use set_tag for words'
        raise TypeError(message.format(name, value))
    _write(kind="metric", name=name, value=_number(float(value)), step=None if step is None else int(step))


def log_metrics(metrics: dict[str, float], *, step: int | None = None) -> None:
    """Add a value to each of several metrics of the run."""
    for name, value in metrics.items():
        log_metric(name, value, step=step)


def log_parameter(name: str, value: Any) -> None:
    """Record a parameter of the run that came up in the step."""
    _write(kind="parameter", name=name, value=value)


def log_parameters(values: dict[str, Any]) -> None:
    """Record several parameters of the run."""
    for name, value in values.items():
        log_parameter(name, value)


def set_tag(name: str, value: str) -> None:
    """Give the run a tag."""
    _write(kind="tag", name=name, value=str(value))


def set_tags(values: dict[str, str]) -> None:
    """Give the run several tags."""
    for name, value in values.items():
        set_tag(name, value)


def note(text: str) -> None:
    """Write the run's note."""
    _write(kind="note", value=text)


def log_artifact(path: str | Path, *, name: str | None = None) -> None:
    """Keep a file as it is now, or a folder with all its files, as `outputs/NAME` of the run."""
    source = Path(path)
    place = "outputs/" + (name or source.name)
    if not source.is_dir():
        _keep(place, source)
    for file in sorted(source.rglob("*")) if source.is_dir() else ():
        if file.is_file():
            _keep(place + "/" + file.relative_to(source).as_posix(), file)


def log_table(name: str, table: Any) -> None:
    """Keep a table, a data frame or a dictionary of columns, as `tables/NAME.json` of the run."""
    columns = table if isinstance(table, dict) else {str(each): list(table[each]) for each in table.columns}
    content = {"format": 1, "columns": {str(each): list(values) for each, values in columns.items()}}
    _keep_bytes("tables/" + name + ".json", json.dumps(content, default=_plain).encode())


def log_figure(name: str, figure: Any) -> None:
    """Keep a picture, a figure of matplotlib or the bytes of a PNG, as `figures/NAME.png` of the run."""
    if not isinstance(figure, bytes):
        buffer = io.BytesIO()
        (getattr(figure, "figure", None) or figure).savefig(buffer, format="png")
        figure = buffer.getvalue()
    _keep_bytes("figures/" + name + ".png", figure)


def dataset(reference: str) -> Path:
    """Return where a registered dataset version is, its file or the folder of its files; the run has read it then.

    `sales:3`, or `sales` for the newest. Raises LookupError when there is none, or its bytes are not the registered
    ones.
    """
    records = os.environ.get("WRIGHT_RECORDS")
    if records is None:
        raise LookupError('no run is asking for dataset "{}"'.format(reference))  # noqa: EM103, UP032 - as guests do
    with tempfile.TemporaryDirectory(prefix="dataset-", dir=str(Path(records).parent)) as folder:
        answer = Path(folder, "answer.json")
        _write(kind="dataset", reference=reference, answer=str(answer))
        while not answer.exists():
            time.sleep(_POLL_SECONDS)
        told = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in told:
        raise LookupError(told["error"])
    return Path(told["path"])


def cancel_run(reason: str) -> None:
    """End the run as `cancelled`, for this reason: nothing after this step is run, and nothing may be registered."""
    _write(kind="cancel", value=reason)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_CANCELLED)


def command(
    line: str | Sequence[str],
    inputs: dict[str, str] | None = None,
    outputs: Sequence[str] = (),
) -> Callable[..., Any]:
    """Return a step that runs an executable: a shell-like line, or a list of words.

    `inputs` maps the step's arguments to the names of the files that they are written to: bytes and text as they are,
    paths as copies, tables with their `to_csv`. Any other argument takes the place of `{name}` in the line. The line
    runs in an empty folder; the step returns the bytes of the files `outputs`, one value for each.

    The step raises FileNotFoundError when the executable is missing or an output was not written, and
    subprocess.CalledProcessError when it ends with another code than 0.
    """
    words = shlex.split(line) if isinstance(line, str) else list(line)
    files = dict(inputs or {})
    names = [outputs] if isinstance(outputs, str) else list(outputs)

    def run(**values: Any) -> Any:
        if shutil.which(words[0]) is None:
            message = '"{}" is not installed here, or not on the PATH; the step runs: {}'
            raise FileNotFoundError(message.format(words[0], " ".join(words)))
        unknown = [each for each in values if each not in files and not any(f"{{{each}}}" in word for word in words)]
        if unknown:
            message = '"{}" is neither an input of the command nor in its line: {}'
            raise TypeError(message.format(unknown[0], " ".join(words)))
        with tempfile.TemporaryDirectory(prefix="wright-command-") as folder:
            for name, file in files.items():
                _put(values.pop(name), Path(folder, file))
            for word in words[1:]:
                if os.path.isfile(word):  # noqa: PTH113 - a word of the line may be too long for a path
                    with open(word, "rb"):  # noqa: PTH123 - opened only to be seen: the step depends on it
                        pass
            told = [_absolute(_filled(word, values)) for word in words]
            subprocess.run(told, cwd=folder, check=True)  # noqa: S603 - what the user asked for
            for name in names:
                if not Path(folder, name).is_file():
                    message = 'it ended well and did not write "{}": {}'
                    raise FileNotFoundError(message.format(name, " ".join(told)))
            found = tuple(Path(folder, name).read_bytes() for name in names)
        return found[0] if len(found) == 1 else found or None

    return run


def _filled(word: str, values: dict[str, Any]) -> str:
    # Not by str.format: the line may have braces of its own.
    for name, value in values.items():
        word = word.replace(f"{{{name}}}", str(value))
    return word


def _absolute(word: str) -> str:
    # The line runs in a folder of its own, and the scripts that it names are in the project's.
    return os.path.abspath(word) if os.path.isfile(word) else word  # noqa: PTH100, PTH113 - as above


def _put(value: Any, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, bytes):
        file.write_bytes(value)
    elif isinstance(value, (str, Path)) and os.path.isfile(str(value)):  # noqa: PTH113 - text may be no path at all
        shutil.copyfile(str(value), str(file))
    elif isinstance(value, str):
        file.write_text(value, encoding="utf-8")
    elif hasattr(value, "to_csv"):
        value.to_csv(str(file), index=False)
    else:
        message = 'the command\'s input "{}" is a {}: give it bytes, text, a path or a table'
        raise TypeError(message.format(file.name, type(value).__name__))


def _keep(name: str, file: Path) -> None:
    records = os.environ.get("WRIGHT_RECORDS")
    if records is not None:
        copy = Path(tempfile.mkdtemp(prefix="artifact-", dir=str(Path(records).parent))) / file.name
        shutil.copyfile(str(file), str(copy))
        _write(kind="artifact", name=name, path=str(copy))


def _keep_bytes(name: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="wright-artifact-") as folder:
        file = Path(folder, "content")
        file.write_bytes(content)
        _keep(name, file)


def _plain(value: Any) -> Any:
    """Return a cell of a table as JSON can hold it."""
    return value.item() if hasattr(value, "item") else str(value)


def _number(value: float) -> float | str:
    # JSON has no word for these.
    return value if math.isfinite(value) else repr(value)


def _write(**fields: Any) -> None:
    records = os.environ.get("WRIGHT_RECORDS")
    if records is None:
        return
    line = json.dumps(dict(fields, at=time.time()), default=str) + "\n"
    # One write of one line: lines of threads and child processes do not mix.
    descriptor = os.open(records, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
