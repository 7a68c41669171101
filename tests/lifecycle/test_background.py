"""The one process that works in the background, where the HTTP API is not installed."""

import os
import signal

import psutil
from journeys.terminal import until

from modelwright.lifecycle import background
from modelwright.lifecycle.diagnosis import examine
from modelwright.store import api_place, claims
from modelwright.store.database import Store


def test_it_works_without_the_api_and_is_missed_when_it_is_killed(store: Store) -> None:
    background.start(store)
    process = claims.holder(store, "background")
    assert process
    assert (background.is_running(store), api_place.url(store)) == (True, None)
    background.start(store)
    assert claims.holder(store, "background") == process, "there is one already"
    assert not [each for each in psutil.Process(process).net_connections() if each.status == psutil.CONN_LISTEN]

    os.kill(process, signal.SIGKILL)
    until(lambda: not background.is_running(store), "its claim to be free")
    [found] = [each for each in examine(str(store.folder)) if each.name == "background"]
    assert (found.is_well, found.next_command) == (False, "wright up")
    background.start(store)
    assert background.stop(store)
    assert not background.is_running(store)
    assert not background.was_killed(store)
    assert not background.stop(store)
