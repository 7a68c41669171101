"""On a disk that is really full, what was answered is on record, and what cannot be kept is answered as declared."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving.capture.exchanges import exchange, read_back, until

from modelwright.records import CaptureMode, CaptureSettings
from modelwright.serving.capture.recorder import Recorder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KB, for those who may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("nothing may be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tmpfs is Linux's")
@pytest.mark.parametrize("mode", [CaptureMode.DURABLE, CaptureMode.FAST])
@pytest.mark.parametrize("is_refusing", [True, False])
def test_a_full_disk_is_met_as_declared(small_disk: Path, mode: CaptureMode, is_refusing: bool) -> None:
    answers: dict[int, bool] = {}
    folder, kept = small_disk / "churn", set[str]()

    def look() -> None:
        kept.update(each.request_id for each in read_back(folder))

    async def main() -> Any:
        recorder = Recorder(folder, CaptureSettings(mode=mode, is_refusing=is_refusing))
        for number in range(60):
            said = exchange(number, input=bytes(8000))
            recorder.record(said, lambda is_answered, number=number: answers.update({number: is_answered}))
            await until(lambda number=number: number in answers)
        assert recorder.counts.failed + recorder.counts.lost == 60 - recorder.counts.kept > 20
        assert "No space left on device" in recorder.counts.failure
        look()
        for path in folder.glob("*.wal"):
            path.unlink()  # as somebody does who makes room
        recorder.record(exchange(99), lambda is_answered: answers.update({99: is_answered}))
        await recorder.close()
        return recorder.counts

    counts = asyncio.run(main())
    look()
    assert len(kept) == counts.kept
    assert answers[99]
    if is_refusing:
        assert kept == {exchange(number).request_id for number, is_answered in answers.items() if is_answered}
    else:
        assert all(answers.values())
