"""Records as JSON, and errors as the program ends with them."""

import errno
import json
import math
import os
from collections.abc import Callable

import pytest

from modelwright import records
from modelwright.cli import program
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


def test_a_full_disk_is_an_error_of_ours_and_other_faults_are_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program.signal, "signal", lambda *_: None)  # the tests' own process keeps what it does

    def write(number: int) -> Callable[[], object]:
        def obey() -> object:
            raise OSError(number, os.strerror(number), "/data/claims/endpoint")

        return obey

    with pytest.raises(SystemExit) as ended:
        program.run(write(errno.ENOSPC))
    assert ended.value.code == 1
    assert '[disk-full] no space is left on the disk of "/data/claims/endpoint"' in capsys.readouterr().err
    with pytest.raises(OSError, match="Input/output"):
        program.run(write(errno.EIO))
