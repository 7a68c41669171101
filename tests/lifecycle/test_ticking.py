"""Ticks: who takes them, and what becomes of them."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelwright.datasets import versions
from modelwright.errors import Busy, PublishedParameterUnknown, ScheduleExists, ScheduleMissing, TriggerInvalid
from modelwright.lifecycle import publishing, scheduling, ticking, training
from modelwright.lifecycle.sessions import Session
from modelwright.projects.manifest import Manifest
from modelwright.records import Missed, Schedule, Status, Tick, Trigger, TriggerKind
from modelwright.store import audit, claims, runs, schedules

START = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
HOURLY = Trigger(TriggerKind.CRON, "0 * * * *")


def after(**passed: float) -> datetime:
    return START + timedelta(**passed)


@pytest.fixture
def published(session: Session, manifest: Manifest) -> Manifest:
    """The small project, published as `small:1`."""
    publishing.publish(session, manifest)
    return manifest


def _add(
    session: Session,
    trigger: Trigger = HOURLY,
    *,
    name: str = "nightly",
    pipeline: str = "small",
    missed: Missed = Missed.ONCE,
    **parameters: object,
) -> Schedule:
    return scheduling.add(
        session, name, pipeline=pipeline, trigger=trigger, parameters=parameters, missed=missed, now=START
    )


def _outcomes(ticks: list[Tick]) -> list[tuple[str, str]]:
    return [(each.due_at.strftime("%H:%M"), each.outcome) for each in ticks]


def test_a_tick_runs_the_published_pipeline_with_the_schedules_parameters(
    session: Session, published: Manifest
) -> None:
    _add(session, alpha=0.75)
    assert ticking.pass_once(session, now=after(minutes=59)) == []
    (tick,) = ticking.pass_once(session, now=after(minutes=61))
    assert (tick.outcome, tick.due_at) == ("succeeded", after(hours=1))
    run = runs.get_run(session.store, str(tick.run_id))
    assert run.parameters == {"alpha": 0.75}
    assert run.tags == {"schedule": "nightly", "due_at": "2026-01-05T13:00:00+00:00"}
    assert schedules.get_schedule(session.store, "nightly").next_at == after(hours=2)
    assert ticking.pass_once(session, now=after(minutes=62)) == []
    assert schedules.list_ticks(session.store) == [tick]


def test_a_schedule_without_a_version_follows_the_newest_and_one_with_it_does_not(
    session: Session, published: Manifest
) -> None:
    _add(session, name="newest")
    _add(session, name="fixed", pipeline="small:1")
    (published.folder / "parameters.toml").write_text("alpha = 0.25\n")
    publishing.publish(session, published)
    ticks = ticking.pass_once(session, now=after(hours=1))
    found = {each.schedule: runs.get_run(session.store, str(each.run_id)).parameters["alpha"] for each in ticks}
    assert found == {"fixed": 0.5, "newest": 0.25}


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        (Missed.ONCE, [("15:00", "succeeded")]),
        (Missed.ALL, [("13:00", "succeeded"), ("14:00", "succeeded"), ("15:00", "succeeded")]),
        (Missed.SKIP, []),
    ],
)
def test_missed_ticks_are_treated_as_the_schedule_says(
    session: Session, published: Manifest, missed: Missed, expected: list[tuple[str, str]]
) -> None:
    _add(session, missed=missed)
    assert _outcomes(ticking.pass_once(session, now=after(hours=3, minutes=30))) == expected
    assert schedules.get_schedule(session.store, "nightly").next_at == after(hours=4)
    recorded = _outcomes(schedules.list_ticks(session.store))
    assert recorded == (expected[::-1] or [("15:00", "skipped: 3 missed")])
    if missed is Missed.ONCE:
        (told,) = [
            each
            for each in audit.list_audit_records(session.store, subject="schedules/nightly")
            if each["action"] == "schedule.ticked"
        ]
        assert told["after"]["missed"] == 2


def test_a_tick_that_is_a_little_late_is_not_missed(session: Session, published: Manifest) -> None:
    _add(session, missed=Missed.SKIP)
    assert _outcomes(ticking.pass_once(session, now=after(hours=3, seconds=119))) == [("15:00", "succeeded")]


def test_a_failure_is_recorded_and_does_not_stop_the_others(session: Session, published: Manifest) -> None:
    _add(session, name="bad", alpha="not a number")
    _add(session, name="good")
    bad, good = ticking.pass_once(session, now=after(hours=1))
    assert bad.outcome.startswith('failed: step "fit"')
    assert good.outcome == "succeeded"
    assert runs.get_run(session.store, str(bad.run_id)).status is Status.FAILED
    assert len(ticking.pass_once(session, now=after(hours=2))) == 2


def test_a_disabled_pipeline_is_not_run(session: Session, published: Manifest) -> None:
    _add(session)
    publishing.set_enabled(session, "small", is_enabled=False)
    (tick,) = ticking.pass_once(session, now=after(hours=1))
    assert tick.outcome == 'failed: published pipeline "small:1" is disabled, so it does not run'
    assert tick.run_id is None


def test_a_run_that_the_gate_cancels_is_no_failure(session: Session, published: Manifest) -> None:
    _add(session)
    (first,) = ticking.pass_once(session, now=after(hours=1))
    training.register(session, str(first.run_id))
    (second,) = ticking.pass_once(session, now=after(hours=2))
    assert second.outcome.startswith("cancelled: not better than small:1")
    assert runs.get_run(session.store, str(second.run_id)).status is Status.CANCELLED


def test_what_comes_due_while_disabled_is_not_made_up_for(session: Session, published: Manifest) -> None:
    _add(session, missed=Missed.ALL)
    scheduling.set_enabled(session, "nightly", is_enabled=False, now=after(minutes=1))
    assert ticking.pass_once(session, now=after(hours=2)) == []
    scheduling.set_enabled(session, "nightly", is_enabled=True, now=after(hours=2, minutes=1))
    assert ticking.pass_once(session, now=after(hours=2, minutes=2)) == []
    assert _outcomes(ticking.pass_once(session, now=after(hours=3))) == [("15:00", "succeeded")]


def test_a_schedule_is_run_at_once_by_hand(session: Session, published: Manifest) -> None:
    before = _add(session)
    scheduling.set_enabled(session, "nightly", is_enabled=False, now=START)
    tick = ticking.run_now(session, "nightly", now=after(minutes=7))
    assert (tick.due_at, tick.outcome) == (after(minutes=7), "succeeded")
    scheduling.set_enabled(session, "nightly", is_enabled=True, now=after(minutes=8))
    assert schedules.get_schedule(session.store, "nightly").next_at == before.next_at
    with (
        claims.claim(session.store, ticking.claimed("nightly")),
        pytest.raises(Busy, match="schedule-nightly"),
    ):
        ticking.run_now(session, "nightly", now=after(minutes=9))


def test_runs_of_one_schedule_never_overlap(session: Session, published: Manifest) -> None:
    _add(session)
    with claims.claim(session.store, ticking.claimed("nightly")):
        assert ticking.pass_once(session, now=after(hours=1)) == []
    assert _outcomes(ticking.pass_once(session, now=after(hours=2))) == [("14:00", "succeeded")]


def test_a_tick_whose_process_was_killed_is_failed_and_not_run_again(session: Session, published: Manifest) -> None:
    _add(session)
    with claims.claim(session.store, ticking.claimed("nightly")):
        tick = ticking.take(session, "nightly", now=after(hours=1))
        assert tick
        assert ticking.pass_once(session, now=after(hours=1)) == []
        assert _outcomes(schedules.list_ticks(session.store)) == [("13:00", "running")]
    assert ticking.pass_once(session, now=after(hours=1)) == []
    assert _outcomes(schedules.list_ticks(session.store)) == [("13:00", "failed: its process was killed")]


def test_new_data_runs_once_and_what_is_being_written_is_waited_for(
    session: Session, published: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "old.csv").write_text("1")
    _add(session, Trigger(TriggerKind.PATH, str(tmp_path / "data" / "*.csv")))
    assert ticking.pass_once(session, now=after(seconds=10)) == []
    (tmp_path / "data" / "new.csv").write_text("2")
    assert ticking.pass_once(session, now=after(seconds=20)) == []
    (tmp_path / "data" / "new.csv").write_text("2, 3")
    assert ticking.pass_once(session, now=after(seconds=30)) == []
    (tick,) = ticking.pass_once(session, now=after(seconds=40))
    assert tick.outcome == "succeeded"
    assert ticking.pass_once(session, now=after(seconds=50)) == []
    told = audit.list_audit_records(session.store, subject="schedules/nightly")
    files = [each["after"]["files"] for each in told if each["action"] == "schedule.ticked"]
    assert files == [[str(tmp_path / "data" / "new.csv")]]


def test_a_new_dataset_version_runs_once_and_those_of_its_own_runs_do_not(
    session: Session, published: Manifest, tmp_path: Path
) -> None:
    """The small project's runs pin what they load as `small`, which would start them for ever."""

    def register(content: str) -> None:
        (tmp_path / "rows").write_text(content)
        versions.pin(session.store, "small", files={"rows": tmp_path / "rows"}, actor="ada")

    register("a")
    _add(session, Trigger(TriggerKind.DATASET, "small"))
    assert ticking.pass_once(session, now=after(minutes=1)) == []
    register("b")
    register("c")
    (tick,) = ticking.pass_once(session, now=after(minutes=2))
    run = runs.get_run(session.store, str(tick.run_id))
    assert [each.reference for each in run.datasets] == ["small:4"]
    assert ticking.pass_once(session, now=after(minutes=3)) == []
    register("d")
    assert len(ticking.pass_once(session, now=after(minutes=4))) == 1


def test_data_that_cannot_be_looked_at_is_told_once(
    session: Session, published: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    _add(session, Trigger(TriggerKind.PATH, str(tmp_path / "data")))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("modelwright.lifecycle.watching.files", refuse)
    for minutes in (1, 2):
        assert ticking.pass_once(session, now=after(minutes=minutes)) == []
    (tick,) = schedules.list_ticks(session.store)
    assert tick.outcome == "failed: [Errno 13] Permission denied"


def test_what_cannot_be_is_refused_when_it_is_added(session: Session, published: Manifest, tmp_path: Path) -> None:
    with pytest.raises(PublishedParameterUnknown):
        _add(session, alfa=1)
    with pytest.raises(TriggerInvalid, match="no dataset"):
        _add(session, Trigger(TriggerKind.DATASET, "smal"))
    with pytest.raises(TriggerInvalid, match='no folder "/nowhere/at"'):
        _add(session, Trigger(TriggerKind.PATH, "/nowhere/at/*/all.csv"))
    with pytest.raises(TriggerInvalid, match="Bad minute"):
        _add(session, Trigger(TriggerKind.CRON, "x * * * *"))
    assert schedules.list_schedules(session.store) == []
    _add(session)
    with pytest.raises(ScheduleExists):
        _add(session)


def test_a_removed_schedule_leaves_its_runs(session: Session, published: Manifest) -> None:
    _add(session)
    (tick,) = ticking.pass_once(session, now=after(hours=1))
    scheduling.remove(session, "nightly")
    with pytest.raises(ScheduleMissing, match='"nightly"'):
        schedules.get_schedule(session.store, "nightly")
    assert runs.get_run(session.store, str(tick.run_id)).tags["schedule"] == "nightly"
    assert ticking.pass_once(session, now=after(hours=2)) == []


_RACER = """
import json, sys
from datetime import datetime
from pathlib import Path
from modelwright.lifecycle import ticking
from modelwright.lifecycle.sessions import Session
from modelwright.store.database import open_store


workspace, now = sys.argv[1:]
store = open_store(Path(workspace))
print("ready", flush=True)
sys.stdin.readline()
ticks = ticking.pass_once(Session(store, "racer"), now=datetime.fromisoformat(now))
print(json.dumps([each.schedule for each in ticks]))
store.close()
"""


def test_of_two_workers_racing_each_tick_has_one_run(session: Session, published: Manifest, tmp_path: Path) -> None:
    names = [f"schedule-{number}" for number in range(4)]
    for name in names:
        _add(session, name=name)
    command = [sys.executable, "-c", _RACER, session.store.folder, after(hours=1).isoformat()]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout
        assert racer.stdout.readline() == "ready\n"
    said = []
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        out, _ = racer.communicate(timeout=300)
        assert racer.returncode == 0
        said += json.loads(out)
    assert sorted(said) == names
    assert len(runs.list_runs(session.store)) == len(names)
    assert {each.outcome for each in schedules.list_ticks(session.store)} == {"succeeded"}
