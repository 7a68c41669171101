"""What is written is what others' libraries read, and Event Grid's fields are in its own case."""

import json
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat
from lifecycle.events.told import AT, registered, run_event

from modelwright.lifecycle.events import envelopes
from modelwright.records import Envelope, Event

RUN = {
    "experimentId": "churn",
    "experimentName": "churn",
    "runId": "run_1",
    "runType": "pipeline",
    "runTags": {"area": "diabetes"},
    "runProperties": {"git_commit": "abc"},
}


def bodies(event: Event) -> list[dict[str, Any]]:
    return [each.body for each in envelopes.letters(event, Envelope.EVENT_GRID, workspace="team a")]


@pytest.mark.parametrize("event", [registered(), run_event("failed", "failed")])
def test_the_reference_library_reads_a_cloud_event(event: Event) -> None:
    (letter,) = envelopes.letters(event, Envelope.CLOUD_EVENTS, workspace="team a")
    message = HTTPMessage({"content-type": "application/cloudevents+json"}, json.dumps(letter.body).encode())
    read = from_structured_event(message, JSONFormat())
    assert (read.get_id(), read.get_source(), read.get_type()) == (event.id, "urn:modelwright:team%20a", event.type)
    assert (read.get_subject(), read.get_time(), read.get_specversion()) == (event.subject, AT, "1.0")
    assert (read.get_data(), read.get_datacontenttype()) == (event.data, "application/json")
    assert read.get_extension("sequence") == f"{event.sequence:020d}"


def test_a_number_that_is_none_does_not_spoil_the_json() -> None:
    event = Event(1, "event_1", "run.failed", "runs/run_1", AT, {"metrics": {"mse": float("nan")}})
    assert envelopes.cloud_event(event, workspace="a")["data"] == {"metrics": {"mse": None}}


def test_a_registered_model_in_event_grids_words() -> None:
    assert bodies(registered()) == [
        {
            "topic": "/subscriptions/local/resourceGroups/local/providers/Microsoft.MachineLearningServices"
            "/workspaces/team%20a",
            "subject": "models/churn:20",
            "eventType": "Microsoft.MachineLearningServices.ModelRegistered",
            "eventTime": "2026-03-03T12:00:00.250000Z",
            "id": registered().id,
            "data": {
                "ModelName": "churn",
                "ModelVersion": 20,
                "ModelTags": {"area": "Diabetes"},
                "ModelProperties": {"r2": "0.4"},
            },
            "dataVersion": "",
            "metadataVersion": "1",
        }
    ]


def test_a_deployed_models_ids_are_one_text() -> None:
    data = {"endpoint": "prod", "models": ["churn:1", "churn:2"], "tags": {"a": "b"}, "properties": {}}
    (body,) = bodies(Event(1, "event_1", "deployment.healthy", "endpoints/prod", AT, data))
    assert (body["eventType"], body["subject"]) == (
        "Microsoft.MachineLearningServices.ModelDeployed",
        "endpoints/prod",
    )
    assert body["data"] == {
        "ServiceName": "prod",
        "ServiceComputeType": "local",
        "ModelIds": "churn:1,churn:2",
        "ServiceTags": {"a": "b"},
        "ServiceProperties": {},
    }


@pytest.mark.parametrize(
    ("fact", "status", "told"),
    [
        ("started", "running", "running"),
        ("resumed", "running", "running"),
        ("failed", "failed", "failed"),
        ("cancelled", "cancelled", "canceled"),
    ],
)
def test_every_change_of_a_runs_status_is_told_and_no_success_but_a_success(fact: str, status: str, told: str) -> None:
    (body,) = bodies(run_event(fact, status))
    assert body["eventType"] == "Microsoft.MachineLearningServices.RunStatusChanged"
    assert (body["subject"], body["data"]) == ("experiments/churn/runs/run_1", RUN | {"runStatus": told})


def test_a_run_that_succeeded_is_completed_and_has_changed_its_status() -> None:
    completed, changed = bodies(run_event("succeeded", "succeeded"))
    assert (completed["eventType"], completed["data"]) == ("Microsoft.MachineLearningServices.RunCompleted", RUN)
    assert (changed["eventType"], changed["data"]) == (
        "Microsoft.MachineLearningServices.RunStatusChanged",
        RUN | {"runStatus": "completed"},
    )
    assert completed["id"] != changed["id"]


@pytest.mark.parametrize("kind", ["deployment.failed", "gate.refused", "traffic.changed", "schedule.tick_ended"])
def test_what_event_grid_has_no_name_for_keeps_ours_and_is_nobodys_success(kind: str) -> None:
    (body,) = bodies(Event(1, "event_1", kind, "things/a", AT, {"status": "failed"}))
    assert (body["eventType"], body["subject"], body["data"]) == (kind, "things/a", {"status": "failed"})


def test_drift_has_the_fields_that_event_grid_names() -> None:
    ours = {
        "monitor_id": "monitor_1",
        "monitor": "churn-daily",
        "run": "run_9",
        "baseline": "churn:3",
        "window": "capture:12",
        "coefficient": 0.41,
        "start_at": "2026-03-02T00:00:00+00:00",
        "end_at": "2026-03-03T00:00:00+00:00",
    }
    (body,) = bodies(Event(1, "event_1", "drift.detected", "datadrifts/monitor_1/runs/run_9", AT, ours))
    assert (body["eventType"], body["subject"]) == (
        "Microsoft.MachineLearningServices.DatasetDriftDetected",
        "datadrifts/monitor_1/runs/run_9",
    )
    assert body["data"] == {
        "DataDriftId": "monitor_1",
        "DataDriftName": "churn-daily",
        "RunId": "run_9",
        "BaseDatasetId": "churn:3",
        "TargetDatasetId": "capture:12",
        "DriftCoefficient": 0.41,
        "StartTime": "2026-03-02T00:00:00+00:00",
        "EndTime": "2026-03-03T00:00:00+00:00",
    }
