"""Brings what MLflow recorded into a workspace: one transaction for each run and model, what is here is left as it is.

Killed anywhere and begun again, it goes on where it was.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelwright.errors import ImportSourceInvalid
from modelwright.lifecycle.importing_mlflow.counting import Tally
from modelwright.lifecycle.importing_mlflow.databases import DatabaseSource
from modelwright.lifecycle.importing_mlflow.folders import FolderSource
from modelwright.lifecycle.importing_mlflow.found import Source
from modelwright.lifecycle.importing_mlflow.models import bring_model
from modelwright.lifecycle.importing_mlflow.servers import ServerSource
from modelwright.lifecycle.importing_mlflow.tracked import Brought, bring_experiment, bring_logged, bring_run
from modelwright.lifecycle.sessions import Session
from modelwright.store import foreign

_DATABASE = "mlflow.db"
# Where servers keep files unless they are told otherwise.
_BESIDE = ("mlartifacts", "mlruns")
_HEADER = b"SQLite format 3\0"


@dataclass(frozen=True)
class Order:
    """What is to be imported: a folder, a database or a server; `roots` are further folders where files may lie."""

    place: str
    roots: Sequence[Path] = ()
    token: str = ""
    is_dry: bool = False


def told_nobody(_done: int, _all: int) -> None:
    """Report nothing."""


def import_all(session: Session, order: Order, *, on_run: Callable[[int, int], None] = told_nobody) -> Tally:
    """Bring all that is at a place of MLflow's here and count it; `on_run` is told how many runs of how many are done.

    Raises ImportSourceInvalid.
    """
    tally = Tally()
    with _opened(order) as source:
        tally.left_out = dict(source.left_out())
        brought = Brought(session, source, tally, is_dry=order.is_dry)
        done, whole = 0, source.count_runs()
        for experiment in tally.readable(source.experiments()):
            experiment_id = bring_experiment(brought, experiment)
            for run in tally.readable(source.runs(experiment)):
                bring_run(brought, run, experiment=experiment)
                done += 1
                on_run(done, max(done, whole))
            for model in tally.readable(source.logged_models(experiment)):
                bring_logged(brought, model, experiment_id=experiment_id)
            brought.finish_outputs()
        for named in tally.readable(source.models()):
            bring_model(brought, named)
    tally.finish()
    return tally


@contextlib.contextmanager
def _opened(order: Order) -> Iterator[Source]:
    """Open the place that an order names."""
    if order.place.startswith(("http://", "https://")):
        yield ServerSource(order.place, order.token, order.roots)
        return
    path = Path(order.place.removeprefix("sqlite:///").removeprefix("file://")).expanduser()
    if (path / _DATABASE).is_file():
        path /= _DATABASE
    if path.is_dir():
        yield FolderSource(path, [path, *order.roots])
    elif path.is_file() and _begins(path) == _HEADER:
        with foreign.opened(path) as database:
            if not database.columns("experiments") or not database.columns("runs"):
                raise ImportSourceInvalid(source=path, reason="it is no database of MLflow's")
            beside = [path.parent, *(path.parent / each for each in _BESIDE)]
            yield DatabaseSource(database, [*beside, *order.roots])
    else:
        raise ImportSourceInvalid(source=order.place, reason="it is no folder, no database and no address")


def _begins(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_HEADER))
