"""What two processes do at once, in `test_races`."""

from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from integrity import things

from modelwright.datasets import reading
from modelwright.errors import ModelwrightError
from modelwright.lifecycle import deletion, garbage
from modelwright.lifecycle.sessions import Session
from modelwright.models import packages
from modelwright.records import DatasetVersion, DeploymentStatus, ModelVersion, Run
from modelwright.store import models, runs
from modelwright.store.database import open_store


def delete_model(session: Session, version: ModelVersion) -> None:
    deletion.delete_model(session, version.reference)
    garbage.collect(session)


def deploy(session: Session, version: ModelVersion) -> None:
    things.deploy(session, version, DeploymentStatus.FAILED)
    packages.restore(session.store, version)


def move_alias(session: Session, version: ModelVersion) -> None:
    with session.change() as opened:
        models.move_alias(opened, version, alias="champion")


def delete_run(session: Session, run: Run) -> None:
    deletion.delete_run(session, run.id)
    garbage.collect(session)


def register(session: Session, run: Run) -> None:
    things.add_version(session, run=run)


def delete_dataset(session: Session, data: DatasetVersion) -> None:
    deletion.delete_dataset(session, data.reference)
    garbage.collect(session)


def read_in_run(session: Session, data: DatasetVersion) -> None:
    """Read data as a run does, which is on record before it gets the files, and has them all when it does."""
    run = things.add_run(session)

    def link(version: DatasetVersion) -> None:
        with session.change() as opened:
            runs.link_dataset(opened, run.id, dataset=version, role="input")

    found = reading.read(session.store, data.reference, on_read=link)
    for path in found.paths.values():
        path.read_bytes()


ACTS: dict[str, Callable[..., None]] = {
    each.__name__: each
    for each in (delete_model, deploy, move_alias, delete_run, register, delete_dataset, read_in_run)
}


def serve(folder: Path, orders: Connection) -> None:
    """Do what is ordered, a name and a thing, and answer `done` or the code of the error, until nothing is."""
    session = Session(open_store(folder), "ada")
    orders.send("ready")
    while order := orders.recv():
        name, thing = order
        try:
            ACTS[name](session, thing)
        except ModelwrightError as error:
            orders.send(error.code)
        except Exception as error:  # noqa: BLE001 - the test says what it was
            orders.send(repr(error))
        else:
            orders.send("done")
    session.store.close()
