"""What endpoints are doing: two looks at the same front, a moment apart, and the difference between them."""

import time
from collections.abc import Sequence

import psutil

from modelwright.records import DeploymentState, FrontStatus, Load
from modelwright.serving.front.tally import LATENCY_BOUNDS_MS


class Watch:
    """Looks at fronts again and again."""

    def __init__(self) -> None:
        """Begin without a look."""
        self._fronts: dict[str, tuple[float, FrontStatus]] = {}
        self._processes: dict[int, tuple[float, float]] = {}

    def look(self, fronts: Sequence[FrontStatus]) -> list[Load]:
        """Return what each front and its deployments did since the look before, or since they began at the first."""
        moment = time.monotonic()
        loads = [load for front in fronts for load in self._loads(front, moment)]
        self._fronts = {front.endpoint: (moment, front) for front in fronts}
        return loads

    def _loads(self, front: FrontStatus, moment: float) -> list[Load]:
        then, before = self._fronts.get(front.endpoint, (0.0, None))
        if before is None or before.pid != front.pid:
            seconds, known = max(1e-9, time.time() - front.started_at.timestamp()), {}
        else:
            seconds, known = max(1e-9, moment - then), {each.name: each for each in before.deployments}
        split = front.traffic.split()
        loads = [
            self._of_deployment(front.endpoint, each, known.get(each.name), seconds, split.get(each.name, 0.0))
            for each in front.deployments
        ]
        cpu, memory = self._measure((front.pid,))
        whole = Load(
            endpoint=front.endpoint,
            deployment="",
            version="",
            is_ready=front.is_healthy,
            share=0.0,
            requests_per_second=sum(each.requests_per_second for each in loads),
            errors_per_second=sum(each.errors_per_second for each in loads),
            p50_ms=None,
            p99_ms=None,
            waiting=sum(each.waiting for each in loads),
            workers=1,
            restarts=0,
            cpu_percent=cpu,
            memory_bytes=memory,
            pending=front.capture.pending,
        )
        return [whole, *loads]

    def _of_deployment(
        self, endpoint: str, now: DeploymentState, before: DeploymentState | None, seconds: float, share: float
    ) -> Load:
        if before is None or before.id != now.id or before.requests > now.requests:  # another of the same name
            requests, errors, latency = now.requests, now.errors, now.latency
        else:
            requests, errors = now.requests - before.requests, now.errors - before.errors
            latency = tuple(new - old for new, old in zip(now.latency, before.latency, strict=True))
        cpu, memory = self._measure(now.worker_pids)
        return Load(
            endpoint=endpoint,
            deployment=now.name,
            version=now.version,
            is_ready=now.is_ready,
            share=share,
            requests_per_second=requests / seconds,
            errors_per_second=errors / seconds,
            p50_ms=percentile(latency, 0.5),
            p99_ms=percentile(latency, 0.99),
            waiting=now.waiting,
            workers=now.workers,
            restarts=now.restarts,
            cpu_percent=cpu,
            memory_bytes=memory if now.memory_limit_bytes is None else now.memory_bytes,
            memory_limit_bytes=None if now.memory_limit_bytes is None else now.memory_limit_bytes * now.workers,
        )

    def _measure(self, pids: Sequence[int]) -> tuple[float, int]:
        """Return how much of a processor the processes took since the look before, in percent, and their memory."""
        cpu, memory = 0.0, 0
        for pid in pids:
            try:
                process = psutil.Process(pid)
                with process.oneshot():
                    times, moment = process.cpu_times(), time.monotonic()
                    spent, born = times.user + times.system, process.create_time()
                    memory += process.memory_info().rss
            except psutil.Error:
                continue
            then, spent_then = self._processes.get(pid, (moment - (time.time() - born), 0.0))
            self._processes[pid] = (moment, spent)
            if moment > then:
                cpu += 100 * max(0.0, spent - spent_then) / (moment - then)
        return cpu, memory


def percentile(latency: Sequence[int], share: float) -> float | None:
    """Return the upper bound of the bucket that the percentile is in; None when nothing was counted."""
    total, passed = sum(latency), 0
    if not total:
        return None
    for count, bound in zip(latency, (*LATENCY_BOUNDS_MS, LATENCY_BOUNDS_MS[-1]), strict=True):
        passed += count
        if passed >= share * total:
            return bound
    return None
