"""Mixed load on one endpoint while everything that can happen to it does; at the end a verdict, line by line.

    python benchmarks/serving/soak.py --minutes 60 [--rate 250] [--seed 1] [--ground FOLDER]

Clients of all kinds (sizes, dialects, wrong bodies, slow ones, those who leave) against: traffic changes, updates to
another version and another environment, restarts, scaling, changes of how requests are recorded, kills of workers,
kills of the front. Kills of the front end after the first third, kills and replacements of workers after the second, so
that memory can be watched in processes that live long.

The verdict: every request that was answered is in the capture, once, with the status and version that the client saw,
and nothing is that nobody sent; every failure lies in the time of a kill; memory is flat; traffic was as asked for.
"""

import argparse
import asyncio
import contextlib
import functools
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from clients import Client, Outcome, Record, in_pieces
from dialects import right, wrong
from ground import Ground, default_folder
from judging import Epoch, Windows, judge_epochs, slope
from staging import CANARY, FIRST, FIRST_ELSEWHERE, MAIN, SECOND, Stage

from modelwright.records import CaptureMode

_CLIENTS = 24
_GRACE_SECONDS = 1.0  # after a kill is mended: answers that were on their way
_MOST_GROWTH_MB = 6.0
_MOST_GROWTH_SHARE = 0.05
_FEWEST_SAMPLES = 20
_FEWEST_SECONDS = 600.0  # until then a process still finds out how much it needs at most
# How often, of a thousand requests, each is sent.
_WEIGHTS = {
    "row": 600,
    "hundred rows": 40,
    "400 rows": 10,
    "service path": 50,
    "query": 40,
    "open inference": 60,
    "invocations": 60,
}
_WRONG, _SLOW, _LEAVES, _HALF, _PIPELINED = 60, 5, 30, 15, 30
# Of what is answered without having been scored nothing need be recorded.
_UNRECORDED = frozenset({408, 413, 431, 503})


@dataclass
class Happenings:
    """What was done, when."""

    faults: Windows = field(default_factory=Windows)
    modes: list[tuple[float, CaptureMode]] = field(default_factory=list)
    changing: Windows = field(default_factory=Windows)  # of the capture's mode
    epochs: list[tuple[float, float, dict[str, float]]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


@dataclass
class Operator:
    """Does what is on its plan, one thing after the other."""

    stage: Stage
    seed: int
    happened: Happenings = field(default_factory=Happenings)
    _version: int = FIRST
    _began: float = 0.0

    def plan(self, seconds: float) -> list[tuple[float, str]]:
        """Return what is done when, from the start."""
        minutes = seconds / 60
        often = {
            "traffic": (max(30, min(1100, int(minutes * 18.5))), 0.0, 1.0),
            "capture": (max(3, int(minutes / 2)), 0.0, 1.0),
            "compact": (max(2, int(minutes / 4)), 0.1, 1.0),
            "update": (max(2, int(minutes / 3)), 0.0, 0.65),
            "environment": (max(1, int(minutes / 6)), 0.0, 0.65),
            "restart": (max(1, int(minutes / 4)), 0.0, 0.65),
            "scale": (max(2, int(minutes / 3)), 0.0, 0.65),
            "kill worker": (max(2, int(minutes / 2)), 0.0, 0.65),
            "kill front": (max(1, int(minutes / 8)), 0.05, 0.32),
        }
        chance = random.Random(self.seed)  # noqa: S311 - to be the same again
        done = [
            (seconds * (since + (until - since) * (number + chance.random()) / count), name)
            for name, (count, since, until) in often.items()
            for number in range(count)
        ]
        return sorted(done)

    def run(self, plan: list[tuple[float, str]], *, until: float) -> None:
        """Carry out a plan whose times count from now; called in a thread."""
        start = time.time()
        self._began = start
        chance = random.Random(self.seed + 1)  # noqa: S311 - to be the same again
        for moment, name in plan:
            wait = start + moment - time.time()
            if wait > 0:
                time.sleep(wait)
            if time.time() > until:
                break
            self._end_epoch()
            try:
                self._act(name, chance)
            except Exception as error:  # noqa: BLE001 - is told in the verdict
                self.happened.failures.append(f"{name}: {type(error).__name__}: {error}"[:300])
            self.happened.counts[name] += 1
            self._began = time.time()
        self._end_epoch()

    def _end_epoch(self) -> None:
        self.happened.epochs.append((self._began, time.time(), self.stage.split()))

    def _act(self, name: str, chance: random.Random) -> None:
        deployment = chance.choice((MAIN, CANARY))
        match name:
            case "traffic":
                self.stage.share_out(float(chance.choice((0, 1, 5, 10, 25, 50, 75, 100))))
            case "capture":
                with self._window(self.happened.changing):
                    mode = chance.choice((CaptureMode.DURABLE, CaptureMode.FAST, CaptureMode.DURABLE, CaptureMode.OFF))
                    self.stage.capture(mode)
                self.happened.modes.append((time.time(), mode))
            case "compact":
                self.stage.compact()
            case "update":
                self._version = FIRST if self._version == SECOND else SECOND
                self.stage.update(MAIN, self._version)
            case "environment":
                self._version = FIRST if self._version == FIRST_ELSEWHERE else FIRST_ELSEWHERE
                self.stage.update(MAIN, self._version)
            case "restart":
                self.stage.restart(deployment)
            case "scale":
                self.stage.scale(deployment, chance.choice((1, 2, 3)))
            case "kill worker":
                with self._window(self.happened.faults):
                    self.stage.kill_worker(deployment)
            case "kill front":
                with self._window(self.happened.faults):
                    self.stage.kill_front()

    @contextlib.contextmanager
    def _window(self, windows: Windows) -> Iterator[None]:
        windows.open(time.time())
        try:
            yield
        finally:
            windows.close(time.time() + _GRACE_SECONDS)


@dataclass
class Crowd:
    """Clients of all kinds, together at some rate."""

    stage: Stage
    rate: float
    seed: int
    record: Record = field(default_factory=Record)
    unknown: list[str] = field(default_factory=list)
    scored: dict[str, bool] = field(default_factory=dict)

    async def find_dialects(self) -> None:
        """Ask once in every dialect, and leave out those that are not known here."""
        trial = Record()
        client = Client("trial", lambda: self.stage.place, trial)
        self._right = dict(right(self.stage.material))
        for name, asked in list(self._right.items()):
            answer = await client.ask(name, asked)
            if answer is None or answer.status != 200 or trial.outcomes[-1].failure:  # noqa: PLR2004 - OK
                self.unknown.append(f"{name} ({trial.outcomes[-1].failure})")
                del self._right[name]
        client.line.hang_up()
        self._wrong = wrong(self.stage.material)
        self.record.sent |= trial.sent
        self.record.outcomes += [each for each in trial.outcomes if each.kind in self._right]

    async def run(self, *, until: float) -> None:
        """Ask until then."""
        await asyncio.gather(*(self._one(number, until) for number in range(_CLIENTS)))

    async def _one(self, number: int, until: float) -> None:
        chance = random.Random(self.seed * 1000 + number)  # noqa: S311 - to be the same again
        client = Client(f"s{number}", lambda: self.stage.place, self.record)
        names = [name for name in _WEIGHTS if name in self._right]
        ways: list[tuple[int, Callable[[], object]]] = [
            (_WEIGHTS[name], functools.partial(client.ask, name, self._right[name])) for name in names
        ]
        row = self._right["row"]
        ways += [
            (_WRONG, lambda: self._ask_wrong(client, chance)),
            (_SLOW, lambda: client.ask("slow", row, in_pieces)),
            (_LEAVES, lambda: client.leave("leaves", row, share=1.0)),
            (_HALF, lambda: client.leave("half", row, share=chance.random())),
            (_PIPELINED, lambda: client.pipeline("pipelined", row, count=3)),
        ]
        weights = [weight for weight, _ in ways]
        while time.time() < until:
            await asyncio.sleep(chance.expovariate(self.rate / _CLIENTS))
            _, act = chance.choices(ways, weights)[0]
            await act()  # type: ignore[misc]
        client.line.hang_up()

    async def _ask_wrong(self, client: Client, chance: random.Random) -> None:
        name = chance.choice(list(self._wrong))
        await client.ask("wrong" if self._wrong[name].is_scored else "elsewhere", self._wrong[name])


@dataclass
class Scale:
    """Weighs the endpoint's processes now and then."""

    stage: Stage
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    async def run(self, *, until: float, every: float) -> None:
        """Weigh until then."""
        while time.time() < until:
            await asyncio.sleep(every)
            with contextlib.suppress(Exception):
                await asyncio.to_thread(self._weigh)

    def _weigh(self) -> None:
        status = self.stage.status()
        if status is None:
            return
        weighed = {f"front {status.pid}": status.pid}
        for each in status.deployments:
            weighed |= {f"worker {pid} of {each.name}": pid for pid in each.worker_pids}
        for name, pid in weighed.items():
            with contextlib.suppress(psutil.Error):
                self.samples[name].append((time.time(), psutil.Process(pid).memory_info().rss / 2**20))


@dataclass
class Verdict:
    """What came of it, line by line."""

    is_good: bool = True

    def line(self, title: str, told: str, *, is_good: bool = True) -> None:
        """Print one line; one that is not good spoils the verdict."""
        self.is_good &= is_good
        print(f"{'ok    ' if is_good else 'FAILED'} {title:22} {told}", flush=True)


def judge_failures(outcomes: list[Outcome], happened: Happenings, verdict: Verdict) -> None:
    """Every failure must lie in the time of a kill."""
    failed = [each for each in outcomes if each.failure]
    unexplained = [each for each in failed if not happened.faults.explain(each.sent_at, each.ended_at)]
    told = f"{len(outcomes):,} requests, {len(failed):,} failed in the time of a kill, {len(unexplained)} otherwise"
    verdict.line("failures", told, is_good=not unexplained)
    for each in unexplained[:10]:
        print(f"         {each.id} ({each.kind}) after {each.ended_at - each.sent_at:.3f} s: {each.failure}")


def judge_capture(stage: Stage, crowd: Crowd, happened: Happenings, verdict: Verdict) -> None:
    """What was answered while requests were recorded must be recorded, as the client saw it, and nothing else."""
    found: dict[str, tuple[int, str]] = {}
    twice = 0
    for request_id, status, version in stage.captured():
        twice += request_id in found
        found[request_id] = (status, version)
    lost, wrong_records, acknowledged = [], [], 0
    for each in crowd.record.outcomes:
        if not each.status or each.kind == "elsewhere" or each.status in _UNRECORDED:
            continue
        recorded = found.get(each.id)
        if recorded is None and is_recording(happened, each):
            lost.append(each)
        if recorded is not None and recorded != (each.status, each.version):
            wrong_records.append((each, recorded))
        acknowledged += is_recording(happened, each)
    # Deployments that are tried are asked for their samples, which is recorded as well.
    others = sorted(found.keys() - crowd.record.sent)
    invented = [each for each in others if _is_of_a_client(each)] or others[stage.tried :]
    told = f"{acknowledged:,} acknowledged, {len(lost)} of them lost; {len(found):,} recorded, {twice} of them twice, "
    told += f"{len(invented)} that nobody sent, {len(wrong_records)} with another status or version"
    verdict.line("capture", told, is_good=not (lost or twice or invented or wrong_records))
    for one in [*lost[:5], *wrong_records[:5], *invented[:5]]:
        print(f"         {one}")


def _is_of_a_client(request_id: str) -> bool:
    return request_id.startswith("trial-") or bool(re.match(r"s\d+-\d+", request_id))


def is_recording(happened: Happenings, outcome: Outcome) -> bool:
    """Return whether every request was recorded all the time from when this one was sent until it was answered."""
    if happened.changing.explain(outcome.sent_at, outcome.ended_at):
        return False
    mode = CaptureMode.DURABLE
    for since, each in happened.modes:
        if since <= outcome.sent_at:
            mode = each
    return mode in (CaptureMode.DURABLE, CaptureMode.FAST)


def judge_split(crowd: Crowd, happened: Happenings, verdict: Verdict) -> None:
    """Between two changes, requests must be shared out as was asked for."""
    outcomes = sorted((each for each in crowd.record.outcomes if each.status), key=lambda each: each.sent_at)
    epochs, at = [], 0
    for since, until, split in happened.epochs:
        counts: Counter[str] = Counter()
        while at < len(outcomes) and outcomes[at].sent_at < since:
            at += 1
        while at < len(outcomes) and outcomes[at].sent_at < until:
            if outcomes[at].ended_at < until and outcomes[at].version:
                counts[outcomes[at].version] += 1
            at += 1
        if not happened.faults.explain(since, until):
            epochs.append(Epoch(split, counts))
    told = judge_epochs(epochs)
    text = (
        f"{told['requests']:,} requests in {told['epochs']:,} epochs, {told['outside']} outside their 99 % interval, "
    )
    verdict.line("traffic", f"{text}{told['z']:+} standard deviations in all", is_good=bool(told["is_right"]))


def judge_memory(scale: Scale, verdict: Verdict) -> None:
    """The front and the worker that lived longest must not have grown in the last four fifths of their lives."""
    for kind in ("front", "worker"):
        lives = [each for name, each in scale.samples.items() if name.startswith(kind)]
        samples = max(lives, key=len, default=[])
        samples = samples[len(samples) // 5 :]
        if len(samples) < _FEWEST_SAMPLES:
            verdict.line(f"memory, {kind}", f"only {len(samples)} samples of one process: not judged")
            continue
        seconds = samples[-1][0] - samples[0][0]
        growth = slope(samples) * seconds
        most = max(_MOST_GROWTH_MB, _MOST_GROWTH_SHARE * samples[0][1])
        told = f"{samples[0][1]:.1f} MB, then {samples[-1][1]:.1f} after {seconds / 60:.1f} minutes: "
        told += f"{slope(samples) * 3600:+.2f} MB an hour by the median of all pairs"
        is_early = seconds < _FEWEST_SECONDS
        told += ", too early to judge" if is_early else ""
        verdict.line(f"memory, {kind}", told, is_good=is_early or growth < most)


async def tell_progress(crowd: Crowd, operator: Operator, *, until: float) -> None:
    """Print how it goes, ten times and at least every minute."""
    start = time.time()
    every = min(60.0, (until - start) / 10)
    while time.time() + every < until:
        await asyncio.sleep(every)
        failed = sum(bool(each.failure) for each in crowd.record.outcomes)
        done = ", ".join(f"{count} {name}" for name, count in sorted(operator.happened.counts.items()))
        told = f"{len(crowd.record.outcomes):,} requests, {failed} failed"
        print(f"{(time.time() - start) / 60:5.1f} min: {told}; {done}", flush=True)


async def run(options: argparse.Namespace) -> bool:
    """Set the stage, let everything happen, and judge it."""
    ground = Ground(options.ground.absolute())
    stage = Stage(ground, ground.scratch("soak"))
    verdict = Verdict()
    try:
        stage.start()
        stage.share_out(10.0)
        operator, crowd, scale = Operator(stage, options.seed), Crowd(stage, options.rate, options.seed), Scale(stage)
        await crowd.find_dialects()
        for each in crowd.unknown:
            print(f"not asked, since it is not known here: {each}")
        seconds = options.minutes * 60
        until = time.time() + seconds
        await asyncio.gather(
            crowd.run(until=until + 1),
            asyncio.to_thread(operator.run, operator.plan(seconds), until=until),
            scale.run(until=until, every=max(0.5, seconds / 1000)),
            tell_progress(crowd, operator, until=until),
        )
    finally:
        stage.stop()
    happened = operator.happened
    done = ", ".join(f"{count} {name}" for name, count in sorted(happened.counts.items()))
    verdict.line("operations", f"{done}; {len(happened.failures)} failed", is_good=not happened.failures)
    for each in happened.failures[:10]:
        print(f"         {each}")
    kinds = ", ".join(f"{count:,} {name}" for name, count in crowd.record.counts.most_common())
    verdict.line("requests", kinds)
    judge_failures(crowd.record.outcomes, happened, verdict)
    judge_capture(stage, crowd, happened, verdict)
    judge_split(crowd, happened, verdict)
    judge_memory(scale, verdict)
    print("GOOD" if verdict.is_good else "NOT GOOD", flush=True)
    return verdict.is_good


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="how long")
    parser.add_argument("--rate", type=float, default=250.0, help="requests a second, of all clients")
    parser.add_argument("--seed", type=int, default=1, help="what is done when depends on it alone")
    parser.add_argument("--ground", type=Path, default=default_folder(), help="where environments and models are kept")
    sys.exit(not asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
