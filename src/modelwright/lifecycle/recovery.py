"""Clears up after processes that were killed: their runs, deployments, values and unfinished copies."""

import contextlib
from dataclasses import dataclass

from modelwright.errors import Busy, RunMissing
from modelwright.lifecycle.sessions import Session
from modelwright.records import Deployment, Run, Status
from modelwright.runs import active
from modelwright.serving import deployments
from modelwright.store import claims, runs
from modelwright.store.changes import change


@dataclass(frozen=True)
class Recovered:
    """What was found half done and put right."""

    runs: list[Run]
    deployments: list[Deployment]
    unfinished_count: int


def recover(session: Session) -> Recovered:
    """Fail what was killed, delete the copies that it did not finish, and return what was done. Harmless at any time.

    Files that were finished, and that no row came to name, stay until `wright gc`.
    """
    store = session.store
    killed = [each for each in runs.list_killed(store) if _fail(session, each)]
    undone = deployments.reconcile(store, actor=session.actor)  # goes by the claims of who was killed
    claims.clear(store)
    return Recovered(killed, undone, store.blobs.clear_unfinished())


def _fail(session: Session, run: Run) -> bool:
    """Record that a run was killed, unless it has ended by itself since it was listed, or is resumed."""
    store, reason = session.store, "its process was killed"
    with contextlib.suppress(Busy, RunMissing), claims.claim(store, run.id):
        if runs.get_run(store, run.id).status is not Status.RUNNING:
            return False
        with change(store, actor=session.actor, why=reason) as opened:
            runs.finish_run(opened, run.id, status=Status.FAILED, reason=reason)
        active.discard_values(store, run.id)
        return True
    return False
