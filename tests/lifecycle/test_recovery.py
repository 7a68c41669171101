"""What was killed is failed, and nothing else."""

from dataclasses import replace

import pytest

from modelwright.lifecycle import recovery, training
from modelwright.lifecycle.sessions import Session
from modelwright.projects.manifest import Manifest
from modelwright.records import Status
from modelwright.store import claims, runs


def test_a_run_that_ends_while_others_look_for_killed_ones_stays_as_it_ended(
    session: Session, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = training.train(session, manifest, is_gated=False).run
    monkeypatch.setattr(runs, "list_killed", lambda _store: [replace(run, status=Status.RUNNING)])
    assert recovery.recover(session).runs == []
    assert runs.get_run(session.store, run.id).status is Status.SUCCEEDED


def test_a_run_that_goes_on_again_is_none_that_was_killed(
    session: Session, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = training.train(session, manifest, is_gated=False).run
    with session.change() as opened:
        runs.resume_run(opened, run.id)
    monkeypatch.setattr(runs, "list_killed", lambda _store: [run])
    with claims.claim(session.store, run.id):
        assert recovery.recover(session).runs == []
    assert [each.id for each in recovery.recover(session).runs] == [run.id]
    assert runs.get_run(session.store, run.id).status is Status.FAILED
