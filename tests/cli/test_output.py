"""Records as JSON."""

import json
import math

from modelwright import records
from modelwright.cli.output import plain
from modelwright.records import DatasetVersion, Run, Status


def test_a_record_becomes_plain_json_with_its_derived_values() -> None:
    data = DatasetVersion(id="data_1", dataset="churn", version=2, digest="d", size_bytes=1, created_at=records.now())
    run = Run(
        id="run_1",
        project="churn",
        status=Status.SUCCEEDED,
        reason="",
        environment_digest="e",
        code_digest="c",
        git=None,
        started_at=records.now(),
        metrics={"loss": math.nan},
        datasets=(data,),
    )
    found = json.loads(json.dumps(plain(run), allow_nan=False))
    assert found["status"] == "succeeded"
    assert found["metrics"] == {"loss": None}
    assert found["datasets"][0]["reference"] == "churn:2"
    assert found["started_at"].endswith("+00:00")
