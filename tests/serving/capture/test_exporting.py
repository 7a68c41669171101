"""Inputs, predictions and labels of captured requests are one table, whatever form clients gave them."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from serving.capture.exchanges import exchange
from serving.capture.test_compaction import BEGUN, spread, write

from modelwright.datasets import reading as datasets_reading
from modelwright.errors import CaptureDamaged, CaptureEmpty, FolderNotWritable, LabelsInvalid
from modelwright.serving.capture import compaction, exporting, labelling, retention, tabulating
from modelwright.serving.capture.exporting import Wanted
from modelwright.serving.capture.labelling import Columns
from modelwright.store import audit
from modelwright.store.database import Store


@pytest.fixture
def folder(store: Store) -> Path:
    return store.folder / "capture" / "churn"


TENSORS = """{"inputs": [
    {"name": "age", "shape": [2, 1], "data": [[1], [2]]},
    {"name": "sex", "shape": [2], "data": ["f", "m"]}
]}"""
ROWS = [{"age": 1, "sex": "f"}, {"age": 2, "sex": "m"}]


@pytest.mark.parametrize(
    "body",
    [
        '{"data": [{"age": 1, "sex": "f"}, {"age": 2, "sex": "m"}]}',
        '{"data": [[1, "f"], [2, "m"]]}',
        '[[1, "f"], [2, "m"]]',
        '{"dataframe_split": {"columns": ["age", "sex"], "data": [[1, "f"], [2, "m"]]}}',
        '{"dataframe_records": [{"age": 1, "sex": "f"}, {"age": 2, "sex": "m"}]}',
        '{"columns": ["age", "sex"], "index": [0, 1], "data": [[1, "f"], [2, "m"]]}',
        '{"inputs": {"age": [1, 2], "sex": ["f", "m"]}}',
        '{"Inputs": {"data": [{"age": 1, "sex": "f"}, {"age": 2, "sex": "m"}]}, "GlobalParameters": 1.0}',
        TENSORS,
    ],
)
def test_rows_have_their_names_in_every_form(body: str) -> None:
    assert tabulating.inputs(body.encode(), names=["age", "sex"]) == ROWS


@pytest.mark.parametrize(
    ("body", "kind", "rows"),
    [
        ("[[1, 2]]", "", [{"x0": 1, "x1": 2}]),
        ('{"data": [1, 2, 3]}', "", [{"x0": 1}, {"x0": 2}, {"x0": 3}]),
        ('{"data": [1, 2]}', "", [{"age": 1, "sex": 2}]),
        ('{"age": 3, "home": {"city": "Ulm"}, "tags": [1]}', "", [{"age": 3, "home.city": "Ulm", "tags": "[1]"}]),
        ("age,sex\n1,f\n2,m\n", "text/csv", ROWS),
        ("1,f\n2,m\n", "text/csv; charset=utf-8", ROWS),
        ("7", "", [{"input": 7}]),
        ("not json", "", [{}]),
        ("[]", "", []),
        # What says that it is a tensor and cannot be one, or would have more rows than there is memory for.
        ('[{"name": 1, "shape": "round", "data": [1]}]', "", [{"name": 1, "shape": "round", "data": "[1]"}]),
        ('[{"name": "a", "shape": [9e9], "data": []}]', "", [{"name": "a", "shape": "[9000000000.0]", "data": "[]"}]),
        ('[{"name": "a", "shape": [9000], "data": []}]', "", [{"name": "a", "shape": "[9000]", "data": "[]"}]),
    ],
)
def test_other_bodies_have_rows_too(body: str, kind: str, rows: list[Any]) -> None:
    assert (
        tabulating.inputs(body.encode(), content_type=kind, names=["age", "sex"] if "x1" not in str(rows) else [])
        == rows
    )


@pytest.mark.parametrize(
    ("body", "predicted"),
    [
        ('{"result": [0.5, 1.5]}', [{"prediction": 0.5}, {"prediction": 1.5}]),
        ('"{\\"result\\": [0.5, 1.5]}"', [{"prediction": 0.5}, {"prediction": 1.5}]),
        ('{"predictions": [[0.1, 0.9], [1, 0]]}', [
            {"prediction.0": 0.1, "prediction.1": 0.9}, {"prediction.0": 1, "prediction.1": 0}
        ]),
        ('[{"label": "a"}, {"label": "b"}]', [{"prediction.label": "a"}, {"prediction.label": "b"}]),
        ('{"outputs": [{"name": "y", "shape": [2], "datatype": "FP64", "data": [1, 2]}]}', [
            {"prediction.y": 1}, {"prediction.y": 2}
        ]),
        ('{"mean": 3}', [{"prediction": '{"mean": 3}'}] * 2),
        ("words", [{"prediction": "words"}] * 2),
    ],
)  # fmt: skip
def test_each_row_has_its_prediction(body: str, predicted: list[Any]) -> None:
    assert tabulating.predictions(body.encode(), 2) == predicted


def captured(folder: Path) -> None:
    """Capture three requests with five rows, a failure and the answer of a shadow."""
    write(
        folder,
        spread(0, input=b'{"data": [{"age": 1}, {"age": 2}]}', output=b"[10, 20]", headers={"x-order": "a7"}),
        spread(1, input=b'{"data": [{"age": 3}]}', output=b"[30]"),
        spread(2, input=b'{"data": [{"age": "old"}, {"age": 5}]}', output=b"[40, 50]"),
        spread(3, status=500, output=b"failed"),
        spread(4, shadow_of="diabetes:1"),
    )


def labelled(folder: Path, text: str, columns: Columns | None = None, *, name: str = "labels.csv") -> Any:
    file = folder.parent / name
    file.write_text(text)
    return labelling.keep(folder, file, columns or Columns())[0]


def frame_of(store: Store, folder: Path, **said: Any) -> Any:
    wanted = Wanted("churn", **said)
    version, _, _ = exporting.make_dataset(store, folder, "asked", wanted=wanted, actor="ada")
    return version, datasets_reading.read(store, version.reference).frame()


def test_inputs_predictions_and_labels_are_one_table(store: Store, folder: Path) -> None:
    captured(folder)
    told = [spread(each).request_id for each in range(3)]
    labelled(folder, f'request_id,label\n{told[0]},"[1, 2]"\n{told[1]},3\nunknown,9\n')
    version, frame = frame_of(store, folder)
    assert version.timestamp_column == "received_at"
    assert version.source["capture"] == "churn"
    assert frame["age"].tolist() == ["1", "2", "3", "old", "5"]
    assert frame["prediction"].tolist() == [10, 20, 30, 40, 50]
    assert frame["label"].tolist()[:3] == [1, 2, 3]
    assert frame["label"].isna().tolist() == [False] * 3 + [True] * 2
    assert frame["row"].tolist() == [0, 1, 0, 0, 1]
    assert frame["received_at"][2].to_pydatetime() == datetime.fromtimestamp(BEGUN.timestamp() + 1, UTC)


def test_the_same_requests_are_the_same_version_in_either_form(store: Store, folder: Path) -> None:
    captured(folder)
    first, _ = frame_of(store, folder)
    compaction.compact(store, folder, actor="ada")
    assert frame_of(store, folder)[0].reference == first.reference
    labelled(folder, f"request_id,label\n{spread(1).request_id},3\n")
    assert frame_of(store, folder)[0].version == 2


def test_a_time_and_a_version_narrow_what_is_taken(store: Store, folder: Path) -> None:
    captured(folder)
    since = datetime.fromtimestamp(BEGUN.timestamp() + 1, UTC)
    assert len(frame_of(store, folder, since=since)[1]) == 3
    with pytest.raises(CaptureEmpty, match="of version diabetes:9"):
        frame_of(store, folder, version="diabetes:9")


def test_columns_that_are_called_as_ours_are_told_apart(store: Store, folder: Path) -> None:
    write(folder, spread(0, input=b'{"data": [{"version": 1, "label": 2, "prediction": 3}]}', output=b"[4]"))
    _, frame = frame_of(store, folder)
    assert frame[["input.version", "input.label", "input.prediction"]].to_numpy().tolist() == [[1, 2, 3]]
    assert frame["prediction"].tolist() == [4]


def test_the_label_found_last_counts(store: Store, folder: Path) -> None:
    captured(folder)
    name = spread(1).request_id
    first = labelled(folder, f"request_id,label,labelled_at\n{name},1,2026-03-05\n{name},2,2026-03-06\n")
    assert (first.new, first.changed) == (1, 1)
    assert labelled(folder, f"request_id,label,labelled_at\n{name},9,2026-03-04\n").older == 1
    assert labelled(folder, f"request_id,label,labelled_at\n{name},2,2026-03-07\n").same == 1
    assert frame_of(store, folder)[1]["label"].tolist()[2] == 2


def test_labels_are_joined_by_an_id_of_ones_own(store: Store, folder: Path) -> None:
    captured(folder)
    text = '{"order": "a7", "truth": 1.5, "row": 1}\n'
    labelled(folder, text, Columns("order", "truth", "header:X-Order"), name="labels.jsonl")
    labelled(folder, "id,label\n3,2.5\n", Columns(by="input:age"))
    label = frame_of(store, folder)[1]["label"]
    assert label.dropna().to_dict() == {1: 1.5, 2: 2.5}


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("labels.csv", "request_id,truth\na,1\n", 'no column "label"; it has request_id, truth'),
        ("labels.csv", "name,label\na,1\n", 'no column "request_id or correlation_id or id"'),
        ("labels.csv", "request_id,label\n", "it has no labels"),
        ("labels.jsonl", "{", "Expecting property name"),
        ("labels.jsonl", "[1]", "row 1 is no object"),
        ("labels.csv", "name,label\na,1,2\n", "it has name, label, None"),
        ("labels.csv", "id,label,labelled_at\na,1,soon\n", "row 1: Invalid isoformat"),
        ("labels.txt", "", 'ends in ".txt"'),
    ],
)
def test_what_is_no_file_of_labels_is_told(folder: Path, name: str, text: str, reason: str) -> None:
    folder.mkdir(parents=True)
    with pytest.raises(LabelsInvalid, match=reason):
        labelled(folder, text, name=name)
    assert not labelling.read(folder).found
    assert not list((folder / "labels").iterdir())


def test_requests_are_exported_as_lines(folder: Path) -> None:
    captured(folder)
    place = folder.parent / "out.jsonl"
    assert exporting.export(folder, place, Wanted("churn")) == 5
    told = [json.loads(line) for line in place.read_text().splitlines()]
    assert told[3]["status"] == 500
    assert told[0]["headers"] == {"x-order": "a7"}
    assert told[4]["shadow_of"] == "diabetes:1"
    assert place.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FolderNotWritable, match="No such file or directory"):
        exporting.export(folder, folder / "nowhere" / "out.jsonl", Wanted("churn"))


def test_labels_that_were_torn_by_hand_are_named(folder: Path) -> None:
    (folder / "labels").mkdir(parents=True)
    (folder / "labels" / "labels_1.jsonl").write_text('{"by": "request_id"}\n{"id": "a", "row"')
    with pytest.raises(CaptureDamaged, match="labels_1"):
        labelling.read(folder)


def test_whole_days_are_deleted_on_the_record(store: Store, folder: Path) -> None:
    write(folder, exchange(0, received_at=datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()))
    write(folder, exchange(1, received_at=datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()))
    compaction.compact(store, folder, actor="ada")
    (folder / "2026-02-27-1.jsonl").write_text("")
    collected = store.folder / "modeldata/local/local/here/churn/m/1/inputs/2026/2/28"
    collected.mkdir(parents=True)
    assert retention.summary(store, folder).days == ("2026-03-01", "2026-03-02")
    gone = retention.expire(store, folder, keep_days=1, actor="ada", now=datetime(2026, 3, 3, 5, tzinfo=UTC))
    assert gone == ["dt=2026-03-01", "2026-02-27-1.jsonl", str(collected.relative_to(store.folder))]
    found = retention.summary(store, folder)
    assert (found.rows, found.days, found.lines) == (1, ("2026-03-02", "2026-03-02"), 0)
    assert not collected.exists()
    (said,) = audit.list_audit_records(store, subject="endpoints/churn")
    assert said["action"] == "capture.deleted"
    assert said["before"]["files"] == gone
    assert retention.delete(store, folder, before=date(2026, 3, 2), actor="ada") == []
    for_ever = {"keep_days": 1_000_000, "now": datetime(2026, 3, 3, tzinfo=UTC)}
    assert retention.expire(store, folder, actor="ada", **for_ever) == []
