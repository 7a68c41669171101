"""When an endpoint whose front has ended is started again, and how long one that fails is waited for."""

import sys
from pathlib import Path

import pytest
from integrity import things

from modelwright.lifecycle.reviving import Reviver
from modelwright.lifecycle.sessions import Session
from modelwright.records import DeploymentStatus
from modelwright.store import endpoints
from modelwright.store.database import Store


class Revived:
    """A reviver whose attempts only say that they were made."""

    def __init__(self, store: Store, told: Path) -> None:
        note = f"import sys; open({str(told)!r}, 'a').write(sys.argv[-1] + ' ')"
        self.reviver = Reviver(store, told.with_suffix(".log"), [sys.executable, "-S", "-c", note])
        self.told = told

    def at(self, *moments: float) -> list[str]:
        """Look at these seconds, each time to the end of what was started, and return the endpoints started so far."""
        for moment in moments:
            self.reviver.look(moment)
            for each in self.reviver._patients.values():
                if each.process:
                    each.process.wait(120)
        return self.told.read_text().split() if self.told.exists() else []


@pytest.fixture
def revived(store: Store, tmp_path: Path) -> Revived:
    """A reviver of a workspace in which `live` should serve and does not."""
    session = Session(store, "ada")
    version = things.add_version(session, run=things.add_run(session))
    things.deploy(session, version, DeploymentStatus.HEALTHY, endpoint="live")
    things.deploy(session, version, DeploymentStatus.STOPPED, endpoint="stopped")
    return Revived(store, tmp_path / "told")


def test_only_what_should_serve_is_started(revived: Revived, store: Store) -> None:
    assert revived.at(0) == ["live"]
    with Session(store, "ada").change() as opened:
        endpoints.note_running(opened, endpoints.get_endpoint(store, "live"), is_running=False)
    assert revived.at(1000) == ["live"], "it is down on purpose"


def test_pauses_between_attempts_that_fail_double_up_to_a_minute(revived: Revived) -> None:
    started, count = [], 0
    for moment in range(250):
        before, count = count, len(revived.at(moment))
        started += [moment] * (count - before)
    assert started == [0, 2, 6, 14, 30, 62, 122, 182, 242]
