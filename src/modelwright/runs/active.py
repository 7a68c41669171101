"""A run while it is running: its record, its folder, its end."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelwright.errors import ProjectInvalid, RunCancelled
from modelwright.projects.code import code_files, copy_code, link_others
from modelwright.records import Artifact, BuiltEnvironment, Run, Status
from modelwright.runs import snapshots
from modelwright.store import claims, runs
from modelwright.store.changes import Change, change
from modelwright.store.database import Store

# The parts of a run's folder that blobs and artifacts take the place of.
_PASSING = ("code", "outputs", "steps")
_CANCEL = "cancel"


@dataclass(frozen=True)
class ActiveRun:
    """A run of `project` while it is running.

    Its folder holds the copy of the project's code that really runs, the outputs, what the steps hand over, and the
    logs. `source` is where the project's modules are within its code. When `project` is a copy, `beside` is the folder
    that it was made of, where data lies that is no code.
    """

    store: Store
    run: Run
    project: Path
    source: str
    environment: BuiltEnvironment
    actor: str
    why: str = ""
    beside: Path | None = None

    def change(self) -> contextlib.AbstractContextManager[Change]:
        """Open a transaction in the run's name."""
        return change(self.store, actor=self.actor, why=self.why)

    @property
    def folder(self) -> Path:
        """Where this run's files are until they are kept as artifacts."""
        return run_folder(self.store, self.run.id)

    @property
    def code(self) -> Path:
        """The copy of the project's code, which stays as it is whatever the user edits."""
        return self.folder / "code"

    @property
    def outputs(self) -> Path:
        """Where the run's own files go; they become its artifacts."""
        return self.folder / "outputs"

    def cancel_reason(self) -> str | None:
        """Return why the run is to end, if somebody asked for that with `request_cancel`."""
        try:
            return (self.folder / _CANCEL).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None


def run_folder(store: Store, run_id: str) -> Path:
    """Return the folder of a run's logs and, while it runs, of its values."""
    return store.folder / "runs" / run_id


def request_cancel(store: Store, run_id: str, *, reason: str) -> None:
    """Ask a running run to end; it ends its steps within a moment."""
    folder = run_folder(store, run_id)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{_CANCEL}.partial"
    partial.write_text(reason, encoding="utf-8")
    partial.replace(folder / _CANCEL)  # or the run might find it before the reason is in it


@contextlib.contextmanager
def recorded(active: ActiveRun, *, project_id: str, is_resumed: bool = False) -> Iterator[None]:
    """Record the run as running for as long as the block lasts, and its end however the block ends.

    The project's code is copied and kept first; ProjectInvalid when it is no longer what the run's code digest says.
    The code of a run that `is_resumed` is the one that it was started with. A RunCancelled (the gate's verdict, a
    request) or Ctrl-C ends the run `cancelled`, any other exception `failed`.
    """
    store, run, folder = active.store, active.run, active.folder
    with claims.claim(store, run.id):
        with active.change() as opened:
            if is_resumed:
                runs.resume_run(opened, run.id)
            else:
                runs.add_run(opened, run, project_id=project_id)
        for part in (*_PASSING, "logs"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / _CANCEL).unlink(missing_ok=True)
        status, reason = Status.FAILED, "ended unexpectedly"
        try:
            if not is_resumed:
                _keep_code(active)
            beside = active.beside or active.project
            if beside.is_dir():
                link_others(beside, active.code)
            yield
            _keep_outputs(active)
            status, reason = Status.SUCCEEDED, ""
        except RunCancelled as verdict:
            _keep_outputs(active)
            status, reason = Status.CANCELLED, str(verdict)
            raise
        except KeyboardInterrupt:
            status, reason = Status.CANCELLED, "interrupted from the keyboard"
            raise
        except Exception as error:
            reason = str(error)
            raise
        finally:
            with change(store, actor=active.actor, why=reason or active.why) as opened:
                runs.finish_run(opened, run.id, status=status, reason=reason)
            discard_values(store, run.id)


def discard_values(store: Store, run_id: str) -> None:
    """Delete what a run needs only while it is running; its logs stay."""
    for name in _PASSING:
        shutil.rmtree(run_folder(store, run_id) / name, ignore_errors=True)


def restore_code(store: Store, run: Run, *, into: Path | None = None) -> Path:
    """Write the code that a run was started with to a folder, by default the run's own, and return where.

    Every byte is verified. Raises BlobDamaged.
    """
    folder = into or run_folder(store, run.id) / "code"
    shutil.rmtree(folder, ignore_errors=True)
    for each in run.artifacts:
        root, _, path = each.path.partition("/")
        if root == "code":
            store.blobs.export(each.digest, folder / path)
    return folder


def _keep_code(active: ActiveRun) -> None:
    if copy_code(active.project, active.code) != active.run.code_digest:
        raise ProjectInvalid(path=active.project, reason="it was edited while the run was starting; run it again")
    kept = {f"code/{name}": path for name, path in code_files(active.code).items()}
    if active.run.git and active.run.git.is_dirty:
        difference = active.folder / "steps" / snapshots.DIFF
        difference.write_bytes(snapshots.git_difference(active.project, set(code_files(active.project))))
        if difference.stat().st_size:
            kept[snapshots.DIFF] = difference
    _keep(active, kept)


def _keep_outputs(active: ActiveRun) -> None:
    written = (path for path in sorted(active.outputs.rglob("*")) if path.is_file())
    _keep(active, {f"outputs/{path.relative_to(active.outputs).as_posix()}": path for path in written})


def _keep(active: ActiveRun, files: dict[str, Path]) -> None:
    with active.store.blobs.batch() as batch:
        artifacts = [
            Artifact(path=name, digest=batch.add(path), size_bytes=path.stat().st_size) for name, path in files.items()
        ]
        with active.change() as opened:
            runs.add_artifacts(opened, active.run.id, artifacts=artifacts)
