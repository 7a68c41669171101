"""What is captured of endpoints, how, and what could not be kept."""

import contextlib
from dataclasses import dataclass
from typing import Any

from modelwright.errors import EndpointOutdated, EndpointUnresponsive
from modelwright.records import CaptureCounts, CaptureSettings, CaptureSummary
from modelwright.records.plain import plain
from modelwright.serving import configuring, deployments
from modelwright.serving.capture import places, retention
from modelwright.store.database import Store


@dataclass(frozen=True)
class CaptureReport:
    """What lies on the disk of an endpoint's requests, how they are captured, and what its front has counted.

    `settings` is None for an endpoint that was deleted, `counts` while its front does not run or cannot be asked.
    """

    summary: CaptureSummary
    settings: CaptureSettings | None
    counts: CaptureCounts | None

    def told(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        found: dict[str, Any] = plain(self.summary)
        return found | {"settings": plain(self.settings), "counts": plain(self.counts)}


def report(store: Store, endpoint: str) -> CaptureReport:
    """Return what there is of an endpoint, which may be deleted by now. Raises EndpointMissing."""
    folder = places.folder_of(store, endpoint)
    running = None
    with contextlib.suppress(EndpointUnresponsive, EndpointOutdated):  # what lies on the disk is there all the same
        running = deployments.status(store, endpoint)
    return CaptureReport(
        retention.summary(store, folder),
        configuring.capture_or_none(store, endpoint),
        running.capture if running else None,
    )


def reports(store: Store) -> list[CaptureReport]:
    """Return the same of every endpoint, by name."""
    return [report(store, each) for each in places.endpoints_of(store)]
