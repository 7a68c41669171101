"""While `wright up` runs, what was captured becomes Parquet by itself."""

import contextlib
import time
from datetime import timedelta
from pathlib import Path

from serving.capture.exchanges import exchange
from serving.capture.test_compaction import write

from modelwright import records
from modelwright.lifecycle.compacting import Compacting
from modelwright.serving.capture import partitions, reading
from modelwright.store import capture
from modelwright.store.database import Store

DEADLINE_SECONDS = 300


def _look_until(compacting: Compacting, store: Store, rows: int) -> None:
    """Look once in a while, the clock two minutes further each time, until so many segments are kept."""
    deadline, now = time.monotonic() + DEADLINE_SECONDS, records.now()
    while len(capture.list_segments(store, "churn")) < rows:
        assert time.monotonic() < deadline
        now += timedelta(minutes=2)
        compacting.look(now)
        time.sleep(0.05)


def test_ended_segments_become_parquet_in_a_process_of_its_own(store: Store, tmp_path: Path) -> None:
    folder, log = store.folder / "capture" / "churn", tmp_path / "background.log"
    with contextlib.ExitStack() as held:
        compacting = Compacting(store, log)
        held.callback(compacting.end)
        compacting.look(records.now())
        assert not log.exists()
        write(folder, exchange(0))
        live = write(folder, exchange(1), is_sealed=False)
        _look_until(compacting, store, 1)
        assert len(list(folder.glob("*.wal"))) == 1
        live.seal()
        _look_until(compacting, store, 2)
    assert log.read_text() == ""
    # The hour is over, so that both may be one file already.
    assert [len(partitions.files(hour)) in {1, 2} for hour in partitions.hours(folder)] == [True]
    found = sorted(reading.exchanges(folder), key=lambda each: each.received_at)
    assert found == [exchange(0), exchange(1)]
