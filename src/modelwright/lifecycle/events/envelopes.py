"""Events as they are written down for others: as CloudEvents 1.0, or as Azure Event Grid writes them.

Sources: github.com/cloudevents/spec, version 1.0.2, with its extension `sequence`; the event schema of Azure Machine
Learning, whose events of runs name their fields `runId` and all others `ModelName`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from modelwright.lifecycle.events import types
from modelwright.records import Envelope, Event
from modelwright.records.plain import plain

# What the statuses of runs are called there.
_GRID_STATUSES = {"succeeded": "completed", "cancelled": "canceled"}


@dataclass(frozen=True)
class Letter:
    """An event as somebody gets it. `types` are the names by which it can be asked for."""

    types: tuple[str, ...]
    body: dict[str, Any]


def letters(event: Event, envelope: Envelope, *, workspace: str) -> list[Letter]:
    """Return what an event is told as: one CloudEvent; for Event Grid one or, where it has two names for it, two."""
    if envelope is Envelope.CLOUD_EVENTS:
        return [Letter(types.names_of(event.type), cloud_event(event, workspace=workspace))]
    names = types.GRID_TYPES.get(event.type, ())
    if not names:
        return [Letter((event.type,), _grid_event(event, event.type, event.subject, event.data, workspace=workspace))]
    # Who asks in our words gets one letter for an event of ours, not a second that says the same.
    return [
        Letter(
            (name,) if number else (event.type, name),
            _grid_event(event, name, _grid_subject(event), _GRID_DATA[name](event), workspace=workspace),
        )
        for number, name in enumerate(names)
    ]


def cloud_event(event: Event, *, workspace: str) -> dict[str, Any]:
    """Return the event in the JSON format of CloudEvents. `sequence` sorts as the changes were committed."""
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": f"urn:modelwright:{quote(workspace, safe='')}",
        "type": event.type,
        "subject": event.subject,
        "time": _time(event.at),
        "datacontenttype": "application/json",
        "sequence": f"{event.sequence:020d}",
        "data": plain(event.data),
    }


def workspace_name(folder: Path) -> str:
    """Return what events call a workspace: its folder's name, or that of the folder that a `.wright` is in."""
    folder = folder.absolute()
    return folder.name if folder.name != ".wright" else folder.parent.name or folder.name


def grid_validation(code: str, *, url: str | None, event_id: str, workspace: str, at: datetime) -> list[dict[str, Any]]:
    """Return what Event Grid asks a new webhook: it is to answer with the code, or to open the address."""
    return [
        {
            "id": event_id,
            "topic": _topic(workspace),
            "subject": "",
            "data": {"validationCode": code} | ({"validationUrl": url} if url else {}),
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "eventTime": _time(at),
            "metadataVersion": "1",
            "dataVersion": "1",
        }
    ]


def _grid_event(event: Event, name: str, subject: str, data: Mapping[str, Any], *, workspace: str) -> dict[str, Any]:
    # Of an event that Event Grid has two names for, the second letter is another event: consumers drop equal ids.
    is_second = name in types.GRID_TYPES.get(event.type, ())[1:]
    return {
        "topic": _topic(workspace),
        "subject": subject,
        "eventType": name,
        "eventTime": _time(event.at),
        "id": f"{event.id}-status" if is_second else event.id,
        "data": plain(data),
        "dataVersion": "",
        "metadataVersion": "1",
    }


def _topic(workspace: str) -> str:
    provider = "providers/Microsoft.MachineLearningServices/workspaces"
    return f"/subscriptions/local/resourceGroups/local/{provider}/{quote(workspace, safe='')}"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _grid_subject(event: Event) -> str:
    if event.type in types.RUN_STATUSES:
        return f"experiments/{event.data.get('experiment', '')}/{event.subject}"
    return event.subject


def _run(event: Event) -> dict[str, Any]:
    experiment = event.data.get("experiment", "")
    return {
        "experimentId": experiment,
        "experimentName": experiment,
        "runId": event.subject.partition("/")[2],
        "runType": event.data.get("kind", ""),
        "runTags": event.data.get("tags", {}),
        "runProperties": event.data.get("properties", {}),
    }


def _run_status(event: Event) -> dict[str, Any]:
    status = str(event.data.get("status", ""))
    return _run(event) | {"runStatus": _GRID_STATUSES.get(status, status)}


def _model(event: Event) -> dict[str, Any]:
    return {
        "ModelName": event.data.get("model", ""),
        "ModelVersion": event.data.get("version"),
        "ModelTags": event.data.get("tags", {}),
        "ModelProperties": event.data.get("properties", {}),
    }


def _deployment(event: Event) -> dict[str, Any]:
    return {
        "ServiceName": event.data.get("endpoint", ""),
        "ServiceComputeType": "local",
        "ModelIds": ",".join(event.data.get("models", ())),
        "ServiceTags": event.data.get("tags", {}),
        "ServiceProperties": event.data.get("properties", {}),
    }


def _drift(event: Event) -> dict[str, Any]:
    names = {
        "DataDriftId": "monitor_id",
        "DataDriftName": "monitor",
        "RunId": "run",
        "BaseDatasetId": "baseline",
        "TargetDatasetId": "window",
        "DriftCoefficient": "coefficient",
        "StartTime": "start_at",
        "EndTime": "end_at",
    }
    return {name: event.data.get(ours) for name, ours in names.items()}


_GRID_DATA: dict[str, Callable[[Event], dict[str, Any]]] = {
    types.RUN_COMPLETED: _run,
    types.RUN_STATUS_CHANGED: _run_status,
    types.MODEL_REGISTERED: _model,
    types.MODEL_DEPLOYED: _deployment,
    types.DRIFT_DETECTED: _drift,
}
_NOTHING = Event(0, "", "", "", datetime.min.replace(tzinfo=UTC))
# How Event Grid calls what we call otherwise.
GRID_FIELDS = frozenset(name for write in _GRID_DATA.values() for name in write(_NOTHING))
