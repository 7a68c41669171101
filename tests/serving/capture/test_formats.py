"""What any release wrote is read: these files are never changed, only added to."""

from pathlib import Path

from serving.capture.exchanges import exchange

from modelwright.serving.capture import labelling, reading

FOLDER = Path(__file__).parents[2] / "formats" / "capture" / "churn"
KEPT = {
    "content-type": "application/json",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "x-tenant": "a",
}


def test_every_form_of_every_release_is_read() -> None:
    found = {each.request_id: each for each in reading.exchanges(FOLDER)}
    assert len(found) == 8
    for number in range(6):
        said = exchange(number, headers=KEPT)
        if number == 1:
            said.input = b"\xff\x00"
        if number == 2:
            said.shadow_of, said.status = "diabetes:1", 500
        assert found[said.request_id] == said
    for number in (6, 7):
        said = exchange(number, headers={}, deployment="", output_type="")
        assert found[said.request_id] == said


def test_labels_of_every_release_are_read() -> None:
    (label,) = labelling.read(FOLDER).found.values()
    assert label == ("2026-03-05T00:00:00.000000+00:00", 7)
