"""Tracks a script or a notebook as a run: `with modelwright.start_run(): ...`.

Metrics are buffered by default: logging one takes no transaction, and what kill -9 can take is the last 0.2 s (see
`buffering`). `start_run(buffer_seconds=0)` commits each before `log_metric` returns. All else is committed at once.

The names here without a run act on the active one: the innermost that was started in this thread, else in the main
thread.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from modelwright import records, settings
from modelwright.datasets import reading
from modelwright.errors import DeletedMeanwhile, NoActiveRun, RunCancelled, RunEnded
from modelwright.projects.code import digest_files
from modelwright.records import Artifact, DatasetVersion, Kind, Lock, Run, Status
from modelwright.runs import buffering, files, machine, snapshots, values
from modelwright.runs.buffering import BUFFER_SECONDS, Buffer
from modelwright.runs.workspaces import Workspace, open_workspace
from modelwright.store import claims, environments, runs
from modelwright.store.changes import Change
from modelwright.store.database import Store
from modelwright.store.points import Logged, add_points

_stacks: dict[int, list["TrackedRun"]] = {}


class TrackedRun:
    """A run that things are logged to. As a context manager it ends with the block, and tells how the block ended.

    It may be handed to other processes, forked or not: what they log goes to the same run, which its own process ends.
    """

    def __init__(self, workspace: Workspace, run: Run, *, buffer_seconds: float = BUFFER_SECONDS) -> None:
        """Log to `run`, which `workspace` has."""
        self.id = run.id
        self.experiment = run.experiment
        self.parent_id = run.parent_id
        self._workspace = workspace
        self._seconds = buffer_seconds
        self._buffer = Buffer(workspace.log_points, seconds=buffer_seconds)
        self._add = self._buffer.add
        self._next_steps: dict[str, int] = {}
        self.logged = 0  # how often this process has logged something
        self._is_entered = False
        self._has_ended = False
        self._process = os.getpid()
        self._claim: contextlib.ExitStack | None = None

    def log_metric(self, name: str, value: float, *, step: int | None = None) -> None:
        """Add a point to the series `name`. Without `step` it counts on from the last one, beginning with 0.

        NaN and infinities are kept. Raises MetricNotNumber, MetricStepInvalid, RunEnded.
        """
        if type(value) is not float:
            value = values.number(name, value)
        if step is None:
            step = self._next_steps.get(name, 0)
        elif type(step) is not int or not -values.LARGEST_STEP <= step <= values.LARGEST_STEP:
            step = values.whole(name, step)
        self._next_steps[name] = step + 1
        self.logged += 1
        if self._has_ended or self._process != os.getpid():
            self._prepare()
        self._add((self.id, name, step, value, time.time()))

    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """Add a point to several series."""
        checked = {name: values.number(name, value) for name, value in metrics.items()}
        for name, value in checked.items():
            self.log_metric(name, value, step=step)

    def log_parameter(self, name: str, value: object) -> None:
        """Record a parameter. Once set it stays: another value raises ParameterFixed."""
        self.log_parameters({name: value})

    def log_parameters(self, parameters: Mapping[str, object]) -> None:
        """Record parameters, in one transaction. What JSON cannot hold is kept as its text."""
        checked = values.parameters(parameters)
        with self._changing() as opened:
            runs.set_parameters(opened, self.id, checked)

    def set_tag(self, name: str, value: object) -> None:
        """Set a tag; it may be set again."""
        self.set_tags({name: value})

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Set tags, in one transaction."""
        with self._changing() as opened:
            runs.set_tags(opened, self.id, values.tags(tags))

    def note(self, text: str) -> None:
        """Write what is to be said about the run, in place of what was said before."""
        with self._changing() as opened:
            runs.set_note(opened, self.id, text)

    def log_artifact(self, path: str | Path, *, name: str | None = None) -> None:
        """Keep a file, or a folder with all its files, as `outputs/NAME`. What was logged at that place is replaced."""
        self._keep(files.outputs(Path(path), name=name))

    def log_table(self, name: str, table: object) -> None:
        """Keep a table as `tables/NAME.json`: a data frame, or a dictionary of columns of one length."""
        with files.written(f"tables/{name}.json", files.table_bytes(name, table)) as found:
            self._keep(found)

    def log_figure(self, name: str, figure: object) -> None:
        """Keep a picture as `figures/NAME.png` or `.svg`: a figure of matplotlib, or the bytes of either format."""
        content, suffix = files.figure_bytes(name, figure)
        with files.written(f"figures/{name}{suffix}", content) as found:
            self._keep(found)

    def read_dataset(self, version: DatasetVersion, *, role: str = "input") -> None:
        """Record that the run read this dataset version, or wrote it: `role="output"`."""
        with self._changing() as opened:
            runs.link_dataset(opened, self.id, dataset=version, role=role)

    @property
    def store(self) -> Store:
        """The store of the run's workspace."""
        return self._workspace.store

    def read(self) -> Run:
        """Return the run as it is recorded now, with all that was logged."""
        self.flush()
        return runs.get_run(self._workspace.store, self.id)

    def flush(self) -> None:
        """Commit what is buffered."""
        self._buffer.flush()

    def finish(self, status: Status = Status.SUCCEEDED, *, reason: str = "") -> None:
        """End the run. Not needed inside of a `with` block."""
        if self._has_ended:
            return
        if self._claim is None or self._process != os.getpid():
            self.flush()  # another process has begun it, and will end it
            self._close()
            return

        def write(points: Sequence[Logged]) -> None:
            with self._workspace.change(why=reason) as opened:
                add_points(opened.connection, points)
                runs.finish_run(opened, self.id, status=status, reason=reason)

        self._buffer.flush_with(write)
        self._claim.close()
        self._close()

    def __enter__(self) -> Self:
        """Begin the block that the run lasts for."""
        self._is_entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """End the run as the block ended."""
        status, reason = _ending(error)
        self.finish(status, reason=reason)

    def __reduce__(self) -> tuple[Callable[..., "TrackedRun"], tuple[object, ...]]:
        """Let another process log to the run."""
        return _attached, (self._workspace.folder, self.id, self._seconds)

    def _begin(self, claim: contextlib.ExitStack) -> None:
        self._claim = claim
        buffering.attend(self, flush=self.flush, end=lambda reason: self.finish(Status.FAILED, reason=reason))
        _stacks.setdefault(threading.get_ident(), []).append(self)

    def _close(self) -> None:
        self._has_ended = True
        self._buffer.close()
        buffering.leave(self)
        for stack in _stacks.values():
            if self in stack:
                stack.remove(self)

    def _keep(self, found: Mapping[str, Path]) -> None:
        self._prepare()
        with self._workspace.store.blobs.batch() as batch:
            digests = batch.add_all(list(found.values()))
            kept = [
                Artifact(name, digest, path.stat().st_size)
                for (name, path), digest in zip(found.items(), digests, strict=True)
            ]
            with self._changing() as opened:
                runs.add_artifacts(opened, self.id, artifacts=kept)

    def _changing(self) -> contextlib.AbstractContextManager[Change]:
        self.logged += 1
        self._prepare()
        return self._workspace.change()

    def _prepare(self) -> None:
        """Find out whether something may be logged, and in a process that was forked make ready for it."""
        if self._has_ended:
            raise RunEnded(run=self.id)
        if self._process != os.getpid():
            self._process = os.getpid()
            self._workspace = open_workspace(self._workspace.folder)
            self._buffer = Buffer(self._workspace.log_points, seconds=self._seconds)
            self._add = self._buffer.add
            self._claim = None
            buffering.attend(self, flush=self.flush, end=lambda _reason: self.flush())


def start_run(
    experiment: str | None = None,
    *,
    parameters: Mapping[str, object] | None = None,
    tags: Mapping[str, object] | None = None,
    note: str = "",
    parent: TrackedRun | str | None = None,
    buffer_seconds: float = BUFFER_SECONDS,
) -> TrackedRun:
    """Start a run of the present script or notebook, recorded with the code, commit, packages and machine it runs with.

    Inside of another run's block, or with `parent`, it is a child run. The workspace is found as the commands find it,
    and made in the present folder when there is none. Raises SnapshotTooLarge, FolderNotWritable and what else opening
    a workspace raises.
    """
    workspace = open_workspace(settings.find_or_place_workspace(Path.cwd()))
    program = snapshots.program()
    above = _parent(parent)
    run = Run(
        id=records.new_id("run"),
        project="",
        status=Status.RUNNING,
        reason="",
        environment_digest="",
        code_digest="",
        git=None,
        started_at=records.now(),
        parameters=values.parameters(parameters or {}),
        tags=({"script": program.file} if program.file else {}) | values.tags(tags or {}),
        kind=Kind.SCRIPT,
        experiment=experiment or (above.experiment if isinstance(above, TrackedRun) else "default"),
        parent_id=above.id if isinstance(above, TrackedRun) else above,
        note=note,
        machine=machine.describe(),
    )
    claim = contextlib.ExitStack()
    claim.enter_context(claims.claim(workspace.store, run.id))
    try:
        _record(workspace, run, folder=program.folder)
    except BaseException:
        claim.close()
        raise
    started = TrackedRun(workspace, run, buffer_seconds=buffer_seconds)
    started._begin(claim)  # noqa: SLF001 - of this module
    return started


def active_run() -> TrackedRun | None:
    """Return the run that is active here; None when there is none."""
    for thread in (threading.get_ident(), threading.main_thread().ident):
        stack = _stacks.get(thread or 0)
        if stack:
            return stack[-1]
    return None


def _active(function: str) -> TrackedRun:
    found = active_run()
    if found is None:
        raise NoActiveRun(function=function)
    return found


def log_metric(name: str, value: float, *, step: int | None = None) -> None:
    """Add a point to a metric of the active run."""
    _active("log_metric").log_metric(name, value, step=step)


def log_metrics(metrics: Mapping[str, float], *, step: int | None = None) -> None:
    """Add a point to several metrics of the active run."""
    _active("log_metrics").log_metrics(metrics, step=step)


def log_parameter(name: str, value: object) -> None:
    """Record a parameter of the active run."""
    _active("log_parameter").log_parameter(name, value)


def log_parameters(parameters: Mapping[str, object]) -> None:
    """Record parameters of the active run."""
    _active("log_parameters").log_parameters(parameters)


def log_table(name: str, table: object) -> None:
    """Keep a table with the active run."""
    _active("log_table").log_table(name, table)


def log_figure(name: str, figure: object) -> None:
    """Keep a picture with the active run."""
    _active("log_figure").log_figure(name, figure)


def log_artifact(path: str | Path, *, name: str | None = None) -> None:
    """Keep a file or a folder with the active run."""
    _active("log_artifact").log_artifact(path, name=name)


def set_tag(name: str, value: object) -> None:
    """Set a tag of the active run."""
    _active("set_tag").set_tag(name, value)


def set_tags(tags: Mapping[str, object]) -> None:
    """Set tags of the active run."""
    _active("set_tags").set_tags(tags)


def dataset(reference: str) -> Path:
    """Return where a registered dataset version is: its file, or the folder of its files. For reading only.

    `sales:3`, or `sales` for the newest. The active run, if there is one, has read it then. Raises DatasetMissing,
    ReferenceInvalid, DatasetChanged and DatasetGone.
    """
    found = active_run()
    if found is None:
        return reading.read(open_workspace(settings.find_workspace(Path.cwd())).store, reference).path
    return reading.read(found.store, reference, on_read=found.read_dataset).path


def note(text: str) -> None:
    """Write what is to be said about the active run."""
    _active("note").note(text)


def _parent(given: TrackedRun | str | None) -> TrackedRun | str | None:
    """Return the run that a new one is a child of: the given one, else the one in whose block it starts."""
    if given is not None:
        return given
    found = active_run()
    # One that was started without `with` and forgotten, as in a notebook's cell that runs again, has no block.
    return found if found and found._is_entered else None  # noqa: SLF001 - of this module


def _record(workspace: Workspace, run: Run, *, folder: Path) -> None:
    """Record the run that begins, and what it begins with unless that is recorded already."""
    snapshot = snapshots.take(folder)
    lock = machine.lock_of_interpreter(workspace.folder / "interpreters")
    try:
        code = _begun(workspace, run, snapshot, lock=lock)
    except DeletedMeanwhile:
        workspace.known.clear()  # its last run was deleted, and the lock or the code with it
        code = _begun(workspace, run, snapshot, lock=lock)
    workspace.known |= {lock.digest, code}


def _begun(workspace: Workspace, run: Run, snapshot: snapshots.Snapshot, *, lock: Lock) -> str:
    """Record the run, and return the digest of its code. Raises DeletedMeanwhile when what is known is no longer so."""
    store, known = workspace.store, workspace.known
    with contextlib.ExitStack() as stack:
        code, difference = snapshot.code_digest, []
        is_known = code in known
        batch = None
        if not is_known or snapshot.difference:
            batch = stack.enter_context(store.blobs.batch())
        if batch and not is_known:
            digests = batch.add_all([snapshot.folder / each.path for each in snapshot.files])
            kept = [replace(each, digest=digest) for each, digest in zip(snapshot.files, digests, strict=True)]
            code = digest_files(kept)
        if batch and snapshot.difference:
            difference = files.added(batch, {snapshots.DIFF: snapshot.difference})
        opened = stack.enter_context(workspace.change())
        if lock.digest not in known:
            environments.ensure_environment(opened, lock)
        if not is_known:
            runs.keep_code(opened, code, kept)
        elif snapshot.files:
            runs.ensure_code(opened, code)
        begun = replace(run, environment_digest=lock.digest, code_digest=code, git=snapshot.git)
        runs.add_run(opened, begun, project_id=None)
        if difference:
            runs.add_artifacts(opened, run.id, artifacts=difference)
    return code


def _ending(error: BaseException | None) -> tuple[Status, str]:
    match error:
        case None:
            return Status.SUCCEEDED, ""
        case SystemExit() if not error.code:
            return Status.SUCCEEDED, ""
        case SystemExit():
            return Status.FAILED, f"exit code {error.code}"
        case KeyboardInterrupt():
            return Status.CANCELLED, "interrupted from the keyboard"
        case RunCancelled():
            return Status.CANCELLED, str(error)
        case _:
            return Status.FAILED, f"{type(error).__name__}: {error}"


def _attached(folder: Path, run_id: str, buffer_seconds: float) -> TrackedRun:
    """Return a run that another process has begun, to log to it."""
    workspace = open_workspace(folder)
    found = TrackedRun(workspace, runs.get_run(workspace.store, run_id), buffer_seconds=buffer_seconds)
    buffering.attend(found, flush=found.flush, end=lambda _reason: found.flush())
    return found
