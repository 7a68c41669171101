"""`wright capture`, as users type it, of an endpoint that runs and of what it left."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from serving.capture.exchanges import exchange
from serving.capture.test_compaction import write

from modelwright.cli.program import program
from modelwright.errors import (
    CaptureEmpty,
    EndpointMissing,
    LabelsInvalid,
    ModelwrightError,
    ModuleNotInstalled,
    RequestMissing,
)
from modelwright.records import CaptureMode, CaptureSettings, FrontSettings
from modelwright.serving import configuring, control
from modelwright.serving.capture import reading
from modelwright.settings import runtime_folder
from modelwright.store import audit, endpoints
from modelwright.store.changes import change
from modelwright.store.database import Store


def _wright(store: Store, *arguments: str) -> str:
    result = CliRunner().invoke(program, ["--workspace", str(store.folder), "capture", *arguments])
    if isinstance(result.exception, ModelwrightError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def _json(store: Store, *arguments: str) -> Any:
    return json.loads(_wright(store, *arguments, "--json"))


@pytest.fixture
def folder(store: Store) -> Path:
    """The capture folder of endpoint churn, with three requests."""
    with change(store, actor="ada") as opened:
        endpoints.ensure_endpoint(opened, "churn", host="127.0.0.1")
    folder = store.folder / "capture" / "churn"
    write(folder, *(exchange(each) for each in range(2)), exchange(2, status=500, output=b"no"))
    return folder


def test_requests_are_listed_and_shown(store: Store, folder: Path) -> None:
    listed = _wright(store, "list", "churn")
    assert [exchange(each).request_id in listed for each in range(3)] == [True] * 3
    assert [each["status"] for each in _json(store, "list", "churn", "--failed")] == [500]
    assert [each["input"] for each in _json(store, "list", "churn", "--limit", "2")] == [
        '{"data": [[1]]}',
        '{"data": [[2]]}',
    ]
    shown = _wright(store, "show", exchange(1).request_id)
    assert '{"result": [1]}' in shown
    assert str(folder) in shown
    with pytest.raises(RequestMissing):
        _wright(store, "show", "nobody")
    with pytest.raises(EndpointMissing):
        _wright(store, "list", "sales")


def test_segments_become_parquet_by_command(store: Store, folder: Path) -> None:
    assert "segments that became Parquet: 1, requests in them: 3" in _wright(store, "compact")
    (told,) = _json(store, "stats")
    assert (told["rows"], told["segments"], told["days"]) == (3, 0, ["2026-03-03", "2026-03-03"])
    assert len(_json(store, "list", "churn")) == 3
    assert "durable" in _wright(store, "stats", "churn")


def test_labels_and_a_dataset_come_of_it(store: Store, folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(f"request_id,label\n{exchange(1).request_id},7\n")
    assert _wright(store, "label", "churn", str(labels)).startswith("1 new, 0 changed")
    told = _json(store, "dataset", "churn", "asked")
    assert told == {"version": "asked:1", "rows": 2, "labelled": 1}
    with pytest.raises(CaptureEmpty):
        _wright(store, "dataset", "churn", "asked", "--since", "2027-01-01")
    labels.write_text("what\n1\n")
    with pytest.raises(LabelsInvalid):
        _wright(store, "label", "churn", str(labels))
    assert [each["action"] for each in audit.list_audit_records(store, subject="endpoints/churn")] == [
        "endpoint.created",
        "capture.labelled",
    ]


def test_requests_are_exported_once(store: Store, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    assert _json(store, "export", "churn", str(file))["requests"] == 3
    assert len(file.read_text().splitlines()) == 3
    refused = CliRunner().invoke(program, ["--workspace", str(store.folder), "capture", "export", "churn", str(file)])
    assert refused.exit_code == 2


def test_days_are_deleted_by_command(store: Store, folder: Path) -> None:
    _wright(store, "compact")
    assert _wright(store, "delete", "churn", "--before", "2026-03-03T12:00+00:00").startswith("nothing was captured")
    assert _wright(store, "delete", "churn", "--before", "2026-03-04T12:00+00:00").strip() == "dt=2026-03-03"
    assert list(reading.read(folder)) == []


def test_what_is_too_old_goes_when_segments_are_compacted(store: Store, folder: Path) -> None:
    _wright(store, "set", "churn", "--keep-days", "30")
    assert _json(store, "compact")["deleted"] == {"churn": ["dt=2026-03-03"]}
    assert list(reading.read(folder)) == []


def test_what_is_too_old_goes_without_pyarrow_too(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = folder.glob("*.wal")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    (store.folder / "capture" / "sales").mkdir()
    write(store.folder / "capture" / "sales", exchange(0))
    _wright(store, "set", "churn", "--keep-days", "30")
    for module in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotInstalled, match="pyarrow"):
        _wright(store, "compact")
    assert not list(folder.glob("*.wal"))
    assert len(list(reading.read(folder.with_name("sales")))) == 1


def test_settings_are_kept_and_changed_one_by_one(store: Store, folder: Path) -> None:
    _wright(store, "set", "churn", "--mode", "sample", "--rate", "0.1", "--header", "x-tenant", "--hash", "email")
    told = _wright(store, "set", "churn", "--when-full", "serve", "--leave-out", "ssn", "--collect")
    assert "sample 0.1" in told
    assert configuring.capture_of(store, "churn") == CaptureSettings(
        mode=CaptureMode.SAMPLE,
        rate=0.1,
        is_refusing=False,
        headers=("x-tenant",),
        hashed=("email",),
        left_out=("ssn",),
        is_collecting=True,
    )
    _wright(store, "set", "churn", "--reset", "--header", "")
    assert configuring.capture_of(store, "churn") == CaptureSettings()
    assert _json(store, "set", "churn")["mode"] == "durable"
    actions = [each["action"] for each in audit.list_audit_records(store, subject="endpoints/churn")]
    assert actions == ["endpoint.created"] + ["endpoint.configured"] * 3
    with pytest.raises(AssertionError, match="at most 1,000,000"):
        _wright(store, "set", "churn", "--keep-days", "99999999999")


@pytest.fixture
def front(store: Store, folder: Path) -> Iterator[None]:
    """The endpoint's front, with nothing deployed: it records what it refuses."""
    places = {"log": store.folder / "logs" / "churn.log", "capture_folder": folder.parent}
    folder_of_sockets = runtime_folder(store.folder)
    control.start("churn", runtime_folder=folder_of_sockets, settings=FrontSettings(), **places)
    yield
    control.stop("churn", runtime_folder=folder_of_sockets, timeout_seconds=1)


def test_a_running_endpoint_goes_on_as_it_is_told(store: Store, folder: Path, front: None) -> None:
    status = control.status("churn", runtime_folder=runtime_folder(store.folder))
    assert status is not None
    for mode, kept, skipped in (("durable", 1, 0), ("off", 1, 1), ("fast", 2, 1)):
        _wright(store, "set", "churn", "--mode", mode)
        control.score(status.url, '{"data": [[1]]}')
        (told,) = _json(store, "stats", "churn")
        assert (told["counts"]["kept"], told["counts"]["skipped"]) == (kept, skipped)
        assert told["counts"]["mode"] == mode
    assert len(list(reading.read(folder))) == 3 + 2
