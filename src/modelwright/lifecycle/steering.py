"""The process that watches a rollout: it looks, decides, and acts, until the rollout has ended.

`python -m modelwright.lifecycle.steering --workspace FOLDER --rollout ID` detaches itself and tells through a pipe that
it is there. Everything that it knows is in the store, so that another goes on where it was killed; and when no other
comes, the front goes back to the former traffic by itself.
"""

import argparse
import contextlib
import os
import signal
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from modelwright import processes, records
from modelwright.errors import Busy, EndpointNotReached, EndpointNotRunning, EndpointUnresponsive, ModelwrightError
from modelwright.lifecycle import rollouts as lifecycle
from modelwright.lifecycle.sessions import Session
from modelwright.records import Check, CheckResult, Rollout, RolloutStatus, Serving
from modelwright.records.plain import plain
from modelwright.serving import control, deployments
from modelwright.serving.rollout import observing, planning, slowness
from modelwright.serving.rollout.checking import Evidence, Seen
from modelwright.serving.rollout.observing import Observed
from modelwright.serving.rollout.planning import Decision, Move, Situation
from modelwright.settings import runtime_folder
from modelwright.store import claims, rollouts
from modelwright.store.database import Store, open_store

_LOOK_SECONDS = 1.0
# How often what was seen is written down when nothing is decided.
_NOTE_SECONDS = 5.0
_LEVELS = (0.5, 0.95)
# The endpoint is being stopped or started: nothing that the new version has done. Its lease goes on meanwhile.
_UNREACHED = (EndpointNotRunning, EndpointUnresponsive, EndpointNotReached)
# Of a trail that has grown longer than this every second point is dropped.
_LONGEST_TRAIL = 240


@dataclass(frozen=True)
class _Sight:
    """One look: the rollout and its endpoint as they are on record, what its front tells, and when that was."""

    rollout: Rollout
    serving: Serving
    front: Observed
    now: datetime

    @property
    def step(self) -> int:
        return self.rollout.progress.step

    def counts(self) -> dict[str, Any]:
        """Return what every deployment has done by now."""
        return {name: observing.counted(each) for name, each in self.front.seen.items()}

    def situation(self) -> Situation:
        """Return how far the step is."""
        progress = self.rollout.progress
        before = {name: observing.read(each) for name, each in progress.step_seen.items()}
        requests = observing.quietest(self.front.seen, before, _serving(self.rollout))
        return Situation(self.step, progress.step_at or self.now, requests)


class Watcher:
    """One rollout and all that was seen of it."""

    def __init__(self, store: Store, rollout: Rollout) -> None:
        """Go on from the rollout's progress."""
        self._session = Session(store, f"rollout:{rollout.id}")
        self._id = rollout.id
        self._folder = runtime_folder(store.folder)
        self._evidence: Evidence | None = None
        self._before: Mapping[str, Seen] = {}
        # When the front began that this watcher gave the step's traffic to; None when it is to be given.
        self._front: datetime | None = None
        self._noted_at: datetime | None = None
        # Why the rollout is to be rolled back, and by which checks, until that is done.
        self._leaving: tuple[str, tuple[Check, ...]] | None = None

    def look(self, now: datetime) -> bool:
        """Look once and do what is to be done; return whether the rollout goes on."""
        rollout = rollouts.find_rollout(self._session.store, self._id)
        if rollout is None or not rollout.is_open:
            return False
        serving = lifecycle.recorded(self._session.store, rollout)
        try:
            if serving.traffic == lifecycle.whole(rollout):
                lifecycle.succeed(self._session, rollout, reason="all of the traffic is its own for good")
                return False
            gone = lifecycle.told_gone(rollout, serving)
            if gone or self._leaving:
                return self._go_back(rollout, gone)
            front = control.observe(rollout.endpoint, runtime_folder=self._folder)
            return self._act(_Sight(rollout, serving, front, now))
        except _UNREACHED:
            return True

    def _act(self, sight: _Sight) -> bool:
        rollout, lapsed_at = sight.rollout, sight.front.lapsed_at
        if lapsed_at is not None:
            return self._go_back(rollout, lifecycle.told_lapse(lapsed_at))
        if sight.step < 0:
            return self._go_to(sight, 0, checks=())
        if not self._holds(sight):
            return True
        goes_on = self._judge(sight)
        if goes_on:
            # Only now: where nothing can be judged, and be it for a full disk, the front is to go back by itself.
            control.renew(rollout.endpoint, rollout.plan.lease_seconds, runtime_folder=self._folder)
        return goes_on

    def _holds(self, sight: _Sight) -> bool:
        """Return whether the step's traffic is what is on trial; a front that was started anew is given it."""
        rollout, front = sight.rollout, sight.front
        is_held, is_moved = front.lease_seconds is not None, sight.serving.traffic != rollout.before
        if is_held and not is_moved:
            self._front = front.started_at
            return True
        if is_held:
            lifecycle.bring_back(self._session.store, rollout)
        if is_moved or self._front == front.started_at:
            self._front = None
            if rollout.status is RolloutStatus.RUNNING:
                self._pause(rollout, "somebody else changed the endpoint's traffic")
        elif rollout.status is RolloutStatus.RUNNING:
            self._share_out(sight, sight.step)
            return True
        return False

    def _go_back(self, rollout: Rollout, reason: str, checks: tuple[Check, ...] = ()) -> bool:
        """Roll back, and try again at the next look where that fails; the first reason counts."""
        self._leaving = self._leaving or (reason, checks)
        reason, checks = self._leaving
        lifecycle.roll_back(self._session, rollout, reason=reason, checks=checks)
        return False

    def _judge(self, sight: _Sight) -> bool:
        rollout, checks = sight.rollout, self._take(sight)
        decision = planning.decide(rollout.plan, sight.situation(), checks, now=sight.now)
        has_failed = any(each.result is CheckResult.FAILED for each in checks)
        if rollout.status is RolloutStatus.PAUSED and not has_failed:
            decision = Decision(Move.WAIT, rollout.reason)
        elif decision.move is Move.ASK and rollout.progress.asked >= sight.step:
            decision = replace(decision, move=Move.GO_ON)
        if decision.move is Move.ROLL_BACK:  # before anything is written, for which there may be no room
            self._leaving = (decision.reason, decision.checks)
            lifecycle.bring_back(self._session.store, rollout)
        rollout = self._note(sight, checks, decision)
        match decision.move:
            case Move.ROLL_BACK:
                return self._go_back(rollout, decision.reason)
            case Move.SUCCEED:
                lifecycle.succeed(self._session, rollout, reason=decision.reason)
                return False
            case Move.ASK:
                self._pause(rollout, f"step {sight.step + 1} of {len(rollout.plan.steps)} waits to be approved")
            case Move.GO_ON:
                return self._go_to(replace(sight, rollout=rollout), sight.step + 1, checks=checks)
        return True

    def _go_to(self, sight: _Sight, step: int, *, checks: Sequence[Check]) -> bool:
        """Begin a step, once the new version has answered its sample through the endpoint."""
        rollout = sight.rollout
        try:
            deployments.smoke_test(self._session.store, sight.serving.names[rollout.deployment])
        except _UNREACHED:
            raise
        except ModelwrightError as error:
            failed = Check("smoke", CheckResult.FAILED, str(error))
            return self._go_back(rollout, f"smoke: {error}", (failed,))
        self._share_out(sight, step)
        counts = sight.counts()
        progress = replace(
            rollout.progress,
            step=step,
            step_at=sight.now,
            step_seen=counts,
            seen=rollout.progress.seen or counts,
            told="",
        )
        with self._session.change() as opened:
            rollouts.advance(opened, rollout, progress, facts={"checks": [plain(asdict(each)) for each in checks]})
        return True

    def _share_out(self, sight: _Sight, step: int) -> None:
        rollout = sight.rollout
        control.share_out(
            rollout.endpoint,
            lifecycle.traffic_of(rollout, step),
            runtime_folder=self._folder,
            fallback=rollout.before,
            lease_seconds=rollout.plan.lease_seconds,
        )
        self._front = sight.front.started_at

    def _pause(self, rollout: Rollout, reason: str) -> None:
        with self._session.change() as opened:
            rollouts.set_status(opened, rollout, status=RolloutStatus.PAUSED, reason=reason)

    def _take(self, sight: _Sight) -> list[Check]:
        """Add what was done since the last look to the evidence, and return what the checks say."""
        rollout, seen = sight.rollout, sight.front.seen
        if self._evidence is None:
            self._evidence = Evidence.restored(
                sight.front.edges,
                rollout.plan.limits,
                rollout.progress.evidence,
                by_key=bool(rollout.before.sticky_header),
            )
            self._before = {name: observing.read(each) for name, each in rollout.progress.seen.items()}
        present, new = (
            seen.get(name, Seen(is_ready=False)).since(self._before.get(name, Seen()))
            for name in (rollout.present, rollout.deployment)
        )
        self._evidence.take(present, new)
        self._before = seen
        return self._evidence.checks()

    def _note(self, sight: _Sight, checks: Sequence[Check], decision: Decision) -> Rollout:
        """Write down what was seen, when something is decided, else now and then; return the rollout with it."""
        rollout = sight.rollout
        is_early = self._noted_at is not None and (sight.now - self._noted_at).total_seconds() < _NOTE_SECONDS
        if self._evidence is None or (decision.move is Move.WAIT and is_early):
            return rollout
        progress = replace(
            rollout.progress,
            told=decision.reason,
            asked=sight.step if decision.move is Move.ASK else rollout.progress.asked,
            evidence=self._evidence.state(),
            seen=sight.counts(),
            checks=tuple(plain(asdict(each)) for each in checks),
            trail=_thinned((*rollout.progress.trail, _point(sight))),
        )
        with self._session.change() as opened:
            rollouts.note_progress(opened, rollout, progress)
        self._noted_at = sight.now
        return replace(rollout, progress=progress)


def _serving(rollout: Rollout) -> list[str]:
    """Return which of the two compared have requests at this step; of copies the new one has some."""
    names = [rollout.present] if rollout.share < 100 else []  # noqa: PLR2004 - percent
    return names + ([rollout.deployment] if rollout.share or rollout.plan.shadow else [])


def _point(sight: _Sight) -> dict[str, Any]:
    """Return a point of the trail: the new version's share, what both have done by now, and how fast since the last."""
    rollout, front, versions = sight.rollout, sight.front, {}
    for name in (rollout.present, rollout.deployment):
        seen = front.seen.get(name, Seen())
        lately = seen.since(observing.read(rollout.progress.seen[name])) if name in rollout.progress.seen else seen
        quantiles = {
            f"p{level * 100:g}_ms": slowness.quantile(front.edges, lately.latencies, level) for level in _LEVELS
        }
        versions[name] = {"requests": seen.requests, "errors": seen.errors, **quantiles}
    told: dict[str, Any] = plain({"at": sight.now, "share": rollout.share, "versions": versions})
    return told


def _thinned(trail: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    return trail if len(trail) <= _LONGEST_TRAIL else (*trail[:-1:2], trail[-1])


def serve(folder: Path, rollout_id: str, *, report: int) -> None:
    """Watch the rollout until it has ended, or SIGTERM, or until the workspace is gone."""
    store = open_store(folder)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.set())
    rollout = rollouts.find_rollout(store, rollout_id)
    if rollout is not None:
        with contextlib.suppress(Busy), claims.claim(store, lifecycle.claimed(rollout)):
            processes.tell(report, b"watching")
            _watch(store, rollout, stopped)
    store.close()


def _watch(store: Store, rollout: Rollout, stopped: threading.Event) -> None:
    watcher = Watcher(store, rollout)
    while not stopped.is_set() and (store.folder / "modelwright.db").exists():
        try:
            if not watcher.look(records.now()):
                return
        except Exception:  # noqa: BLE001 - what is wrong with one look may be right at the next; else the lease ends
            traceback.print_exc()
        stopped.wait(_LOOK_SECONDS)


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--rollout", required=True)
    parser.add_argument("--report-fd", type=int, required=True)
    options = parser.parse_args()
    if os.fork() == 0:
        os.setsid()
        serve(options.workspace, options.rollout, report=options.report_fd)


if __name__ == "__main__":
    main()
