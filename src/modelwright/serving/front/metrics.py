"""What Prometheus reads of an endpoint: plain numbers that were counted anyway, made into text when it asks.

The format is the text exposition format 0.0.4; names and units follow Prometheus's rules for them.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from modelwright import __version__
from modelwright.records import DeploymentState
from modelwright.serving.front.connections import Clients
from modelwright.serving.front.contract import Scoring
from modelwright.serving.front.tally import LATENCY_BOUNDS_MS, Tally
from modelwright.serving.front.versions import Version

# Four bounds a decade are enough to read off a percentile; the tally keeps twenty.
_EVERY = 5
_QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
_MOST_CATEGORIES = 20
Labels = Mapping[str, object]


@dataclass(frozen=True)
class Sample:
    """A number under the family's name with `suffix`."""

    labels: Labels
    value: float
    suffix: str = ""


@dataclass(frozen=True)
class Family:
    """What is counted or measured, for everything it is counted for."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: Iterable[Sample]

    def lines(self) -> Iterator[str]:
        """Yield its lines; a family without a sample has none."""
        samples = list(self.samples)
        if samples:
            yield f"# HELP modelwright_{self.name} {self.help}"
            yield f"# TYPE modelwright_{self.name} {self.kind}"
        for each in samples:
            labels = ",".join(f'{name}="{_escaped(str(value))}"' for name, value in each.labels.items())
            yield f"modelwright_{self.name}{each.suffix}{{{labels}}} {_number(each.value)}"


class Metrics:
    """The numbers of one endpoint."""

    def __init__(self, endpoint: str, *, scoring: Scoring, clients: Clients, started_at: datetime) -> None:
        """Read them from where they are counted."""
        self._endpoint = endpoint
        self._scoring = scoring
        self._clients = clients
        self._started_at = started_at

    def text(self) -> bytes:
        """Return all of them as they are now."""
        families = (*self._of_endpoint(), *self._of_deployments(), *self._of_shadows(), *self._of_processes())
        return "\n".join([line for family in families for line in family.lines()] + [""]).encode()

    def _of_endpoint(self) -> Iterator[Family]:
        scoring, here = self._scoring, {"endpoint": self._endpoint}
        counts = scoring.recorder.counts
        fates = {"kept": counts.kept, "skipped": counts.skipped, "lost": counts.lost, "failed": counts.failed}

        def gauge(name: str, text: str, value: float) -> Family:
            return Family(name, "gauge", text, [Sample(here, value)])

        yield Family("info", "gauge", "The server's version.", [Sample({**here, "release": __version__}, 1)])
        yield gauge("start_time_seconds", "When the server started, since the epoch.", self._started_at.timestamp())
        yield gauge("ready", "Whether a request would be scored now.", scoring.is_healthy)
        yield gauge("connections", "Clients that are connected.", len(self._clients.connections))
        yield gauge("requests_in_progress", "Requests that were not answered yet.", scoring.totals.in_progress)
        yield Family(
            "access_refused_total",
            "counter",
            "Requests without a good key.",
            [Sample(here, scoring.guard.refused)],
        )
        yield Family(
            "capture_records_total",
            "counter",
            "Records of requests by what became of them.",
            [Sample({**here, "outcome": outcome}, value) for outcome, value in fates.items()],
        )
        if scoring.spans is not None:
            fates = {"sent": scoring.spans.sent, "failed": scoring.spans.failed, "dropped": scoring.spans.dropped}
            yield Family(
                "traces_total",
                "counter",
                "Traces of requests by what became of them.",
                [Sample({**here, "outcome": outcome}, value) for outcome, value in fates.items()],
            )
        yield gauge("capture_pending", "Records that wait for the disk.", counts.pending)

    def _of_deployments(self) -> Iterator[Family]:
        each = list(self._deployments())
        split = self._scoring.router.traffic.split()
        statuses = (
            Sample({**labels, "status": status}, count)
            for labels, version in each
            for status, count in sorted(version.tally.statuses.items())
        )
        states = [(labels, version.state) for labels, version in each]
        yield Family("requests_total", "counter", "Answers by status.", statuses)
        yield Family(
            "request_duration_seconds",
            "histogram",
            "From a whole request to its answer.",
            (sample for labels, version in each for sample in _histogram(labels, version.tally)),
        )
        for name, text, values in (
            ("requests_waiting", "Requests that wait for their answers.", [s.waiting for _, s in states]),
            ("deployment_ready", "Whether a request would be scored now.", [s.is_ready for _, s in states]),
            ("workers", "Processes there should be.", [s.workers for _, s in states]),
            ("workers_ready", "Processes that take requests.", [len(s.worker_pids) for _, s in states]),
            ("traffic_ratio", "Share of the requests.", [split.get(s.name, 0.0) / 100 for _, s in states]),
        ):
            yield Family(name, "gauge", text, map(Sample, (labels for labels, _ in each), values))
        for name, text, values in (
            ("worker_restarts_total", "Processes that were started again.", [s.restarts for _, s in states]),
            ("request_bytes_total", "Bytes of bodies that were scored.", [v.tally.bytes_in for _, v in each]),
            ("response_bytes_total", "Bytes of answers.", [v.tally.bytes_out for _, v in each]),
        ):
            yield Family(name, "counter", text, map(Sample, (labels for labels, _ in each), values))
        yield from _predictions(each)
        yield from self._of_memory([(labels, s, s.memory_limit_bytes) for labels, s in states])

    @staticmethod
    def _of_memory(states: Iterable[tuple[Labels, DeploymentState, int | None]]) -> Iterator[Family]:
        """Tell what the workers of deployments hold that have a limit."""
        limited = [(labels, state, limit) for labels, state, limit in states if limit is not None]
        held = [Sample(labels, state.memory_bytes) for labels, state, _ in limited]
        yield Family("workers_memory_bytes", "gauge", "Memory that counts towards the limit.", held)
        limits = [Sample(labels, limit * state.workers) for labels, state, limit in limited]
        yield Family("workers_memory_limit_bytes", "gauge", "Memory that they may hold.", limits)
        outgrown = [Sample(labels, state.outgrown) for labels, state, _ in limited]
        yield Family("workers_outgrown_total", "counter", "Processes that were ended as they held more.", outgrown)

    def _of_shadows(self) -> Iterator[Family]:
        each = list(self._deployments())
        for name, text, values in (
            ("shadow_requests_total", "Copies that were scored.", [v.tally.shadow_requests for _, v in each]),
            ("shadow_dropped_total", "Copies it was too busy for.", [v.tally.shadows_dropped for _, v in each]),
            (
                "shadow_compared_total",
                "Copies compared with the answer.",
                [v.tally.agreement.compared for _, v in each],
            ),
            ("shadow_differing_total", "Copies answered otherwise.", [v.tally.agreement.differing for _, v in each]),
        ):
            yield Family(name, "counter", text, map(Sample, (labels for labels, _ in each), values))

    def _of_processes(self) -> Iterator[Family]:
        import psutil

        memory, cpu = [], []
        pids = [({"endpoint": self._endpoint, "process": "front"}, os.getpid())]
        for labels, version in self._deployments():
            about = {"endpoint": labels["endpoint"], "deployment": labels["deployment"]}
            pids += [({**about, "process": f"worker-{n}"}, pid) for n, pid in enumerate(version.state.worker_pids)]
        for labels, pid in pids:
            try:
                process = psutil.Process(pid)
                with process.oneshot():
                    times = process.cpu_times()
                    memory.append(Sample(labels, process.memory_info().rss))
                    cpu.append(Sample(labels, times.user + times.system))
            except psutil.Error:
                continue  # it has just ended
        yield Family("process_resident_memory_bytes", "gauge", "Memory that is held.", memory)
        yield Family("process_cpu_seconds_total", "counter", "Time on a processor.", cpu)

    def _deployments(self) -> Iterator[tuple[dict[str, str], Version]]:
        for name, version in self._scoring.router.versions.items():
            yield {"endpoint": self._endpoint, "deployment": name, "version": version.spec.version}, version


def _histogram(labels: Labels, tally: Tally) -> Iterator[Sample]:
    bounds, total = tuple(enumerate(LATENCY_BOUNDS_MS)), 0
    for place, bound in bounds:
        total += tally.latency[place]
        if place % _EVERY == 0:
            yield Sample({**labels, "le": _number(bound / 1000)}, total, "_bucket")
    total += tally.latency[-1]
    yield Sample({**labels, "le": "+Inf"}, total, "_bucket")
    yield Sample(labels, tally.milliseconds / 1000, "_sum")
    yield Sample(labels, total, "_count")


def _predictions(each: Iterable[tuple[dict[str, str], Version]]) -> Iterator[Family]:
    """Tell how predictions are distributed since the traffic was changed last, from the sample that is kept of them."""
    quantiles, categories, sizes = [], [], []
    for labels, version in each:
        sample = version.tally.predictions.sample()
        numbers = sorted(sample.numbers)
        sizes.append(Sample(labels, version.tally.predictions.answers))
        if numbers:
            last = len(numbers) - 1
            quantiles += [Sample({**labels, "quantile": q}, numbers[round(q * last)]) for q in _QUANTILES]
        counts = sample.categories or {}
        whole = sum(counts.values())
        most = sorted(counts.items(), key=lambda item: -item[1])[:_MOST_CATEGORIES]
        categories += [Sample({**labels, "category": name}, count / whole) for name, count in most]
    yield Family("predictions_sampled", "gauge", "Answers that the distribution is told from.", sizes)
    yield Family("prediction_quantile", "gauge", "Quantiles of numbers that were predicted.", quantiles)
    yield Family("prediction_category_ratio", "gauge", "Shares of classes that were predicted.", categories)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
