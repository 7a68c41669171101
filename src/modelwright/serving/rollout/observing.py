"""What a front tells of its deployments to those who decide about them, as JSON and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelwright.serving.rollout.checking import Seen
from modelwright.serving.rollout.shifting import Sample


@dataclass(frozen=True)
class Observed:
    """One look at a front: what each deployment has done, the standing comparison, and the lease on the traffic.

    `edges` are the ends of the buckets of latencies, in milliseconds. `started_at` is when the front began to count,
    `lapsed_at` when it went back to its former traffic by itself; `lease_seconds` is how long the present one holds
    unless it is confirmed.
    """

    seen: Mapping[str, Seen]
    edges: tuple[float, ...]
    started_at: datetime
    contest: Mapping[str, Any] = field(default_factory=dict)
    lease_seconds: float | None = None
    lapsed_at: datetime | None = None


def counted(seen: Seen) -> dict[str, Any]:
    """Return the counts of one deployment as JSON values, without its sample of answers."""
    return {
        "requests": seen.requests,
        "errors": seen.errors,
        "latencies": list(seen.latencies),
        "compared": seen.compared,
        "differing": seen.differing,
        "answers": seen.answers,
        "is_ready": seen.is_ready,
        "restarts": seen.restarts,
        "dropped": seen.dropped,
    }


def told(seen: Seen) -> dict[str, Any]:
    """Return one deployment as JSON values."""
    sample = {"numbers": list(seen.sample.numbers), "categories": dict(seen.sample.categories or {})}
    return counted(seen) | {"sample": sample, "examples": list(seen.examples), "largest": seen.largest}


def read(fields: Mapping[str, Any]) -> Seen:
    """Return the deployment that `told` or `counted` told of."""
    sample = fields.get("sample", {})
    rest = {name: value for name, value in fields.items() if name not in ("sample", "latencies", "examples")}
    return Seen(
        **rest,
        latencies=tuple(fields["latencies"]),
        examples=tuple(fields.get("examples", ())),
        sample=Sample(tuple(sample.get("numbers", ())), sample.get("categories")),
    )


def observed(fields: Mapping[str, Any]) -> Observed:
    """Return what a front told."""
    lapsed_at = fields["lapsed_at"]
    return Observed(
        seen={name: read(each) for name, each in fields["deployments"].items()},
        edges=tuple(fields["edges"]),
        started_at=datetime.fromisoformat(fields["started_at"]),
        contest=fields["contest"],
        lease_seconds=fields["lease_seconds"],
        lapsed_at=datetime.fromisoformat(lapsed_at) if lapsed_at else None,
    )


def quietest(seen: Mapping[str, Seen], before: Mapping[str, Seen], names: Sequence[str]) -> int:
    """Return how many requests the one of `names` that has had the fewest had since `before`."""
    gone = Seen()
    return min((seen.get(name, gone).since(before.get(name, gone)).requests for name in names), default=0)
