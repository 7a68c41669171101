"""What commits and registered versions start on one machine."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lifecycle.ci.repositories import Repository

from modelwright.errors import Busy, RepositoryMissing
from modelwright.lifecycle.ci import releasing, watching
from modelwright.lifecycle.sessions import Session
from modelwright.projects import quality
from modelwright.projects.quality import Quality
from modelwright.serving import deployments
from modelwright.store import claims, endpoints, models, projects, runs


@dataclass
class Watcher:
    """A watcher that looks when it is told to."""

    session: Session
    repository: Repository
    lines: list[str] = field(default_factory=list)

    def look(self) -> list[str]:
        """Look once, and return what was told of it."""
        self.lines.clear()
        watching.look(self.session, watching.watched(self.repository.folder), self.lines.append)
        return list(self.lines)

    def served(self) -> dict[str, list[str]]:
        found = endpoints.list_endpoints(self.session.store)
        return {
            each.name: [one.version for one in endpoints.serving(self.session.store, each).deployments]
            for each in found
        }


@pytest.fixture
def watcher(session: Session, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    """A watcher for which tests say at once what is in the file `tests/said`: they are run in `test_quality`."""

    def check(project: Path, **_: object) -> Quality:
        faults = (project / "tests" / "said").read_text().split() if (project / "tests" / "said").exists() else []
        return Quality("clean", "1 passed", "30%", tuple(faults))

    monkeypatch.setattr(quality, "check", check)
    yield Watcher(session, repository)
    deployments.down(session.store, actor="ada")


def test_a_commit_trains_and_what_it_registers_goes_out(watcher: Watcher) -> None:
    store, repository = watcher.session.store, watcher.repository
    assert watcher.look() == []  # what there is counts as seen
    docs = repository.change("README.md", "small", "larger")
    assert watcher.look() == [f"commit {docs[:12]} changes nothing that trains"]
    (repository.folder / "parameters.toml").write_text("alpha = 0.6\n")
    assert watcher.look() == []  # an open edit is no commit
    commit = repository.commit("train")
    (repository.folder / "parameters.toml").write_text("alpha = open edit\n")
    assert watcher.look() == [
        f"commit {commit[:12]} trains",
        f"commit {commit[:12]} became small:1",
        "small:1 was registered and goes out",
        "small:1 serves at small-test",
        'small:1 waits: wright approve small:1 --stage production --why "TEXT"',
    ]
    run = runs.get_run(store, str(models.find_version(store, "small:1").run_id))
    assert (run.tags["BuildId"], run.parameters["alpha"]) == (commit, 0.6)
    known = projects.find_project(store, "small")
    assert known is not None
    assert known.folder == repository.folder
    assert watcher.look() == []
    releasing.approve(
        Session(store, "bob", why="it is well"),
        models.find_version(store, "small:1"),
        stage="production",
        is_approved=True,
    )
    assert watcher.look() == ["small:1 serves at small"]
    assert watcher.served() == {"small": ["small:1"], "small-test": ["small:1"]}

    repository.git("checkout", "--quiet", "parameters.toml")
    (repository.folder / "parameters.toml").write_text("alpha = 0.9\n")
    bad = repository.change("src/small/score.py", '["data"]]', '["data"][:2]]')
    _, *told, failed = watcher.look()
    assert told == [f"commit {bad[:12]} became small:2", "small:2 was registered and goes out"]
    assert failed.startswith("small:2 does not go out, and what it replaced is back: ")
    assert "3 rows were asked, and 2 results came back" in failed
    assert watcher.served() == {"small": ["small:1"], "small-test": ["small:1"]}
    broken = repository.commit("broken", **{"tests/said": "red", "parameters.toml": "alpha = 0.95\n"})
    assert watcher.look() == [
        f"commit {broken[:12]} trains",
        f'commit {broken[:12]}: "{repository.folder}" does not pass: red; the reports are in "reports"',
    ]
    assert watcher.look() == []


def test_a_release_whose_target_or_version_is_gone_stops_no_watcher(watcher: Watcher) -> None:
    watcher.look()
    file = watcher.session.store.folder / "ci" / "small.json"
    seen = json.loads(file.read_text())
    file.write_text(json.dumps(seen | {"releases": {"small:1": "moon", "small:2": "production"}}))
    told = watcher.look()
    assert [each.split(":", 2)[1] for each in told] == ["1 does not go out", "2 does not go out"]
    assert json.loads(file.read_text())["releases"] == {}


def test_where_a_release_goes_on_when_its_target_is_called_otherwise_by_now(watcher: Watcher) -> None:
    automation = watching.watched(watcher.repository.folder).automation
    ahead = {name: [each.name for each in watching.ahead(automation, name)] for name in ("test", "production", "moon")}
    assert ahead == {"test": ["test", "production"], "production": ["production"], "moon": ["test", "production"]}


def test_a_look_at_which_nothing_is_new_writes_nothing(watcher: Watcher) -> None:
    watcher.look()
    file = watcher.session.store.folder / "ci" / "small.json"
    before = file.stat().st_ino
    watcher.look()
    assert file.stat().st_ino == before


def test_two_watchers_do_nothing_twice(watcher: Watcher) -> None:
    with claims.claim(watcher.session.store, "watch-small"), pytest.raises(Busy):
        watcher.look()


def test_hooks_are_written_and_removed_and_others_stay(watcher: Watcher) -> None:
    found = watcher.repository.folder
    hooks = watcher.repository.folder / ".git" / "hooks"
    (hooks / "post-merge").write_text("#!/bin/sh\nmine\n")
    log = watcher.session.store.folder / "a folder; rm" / "it's.log"
    log.parent.mkdir()
    assert watching.install_hooks(found, "echo committed", log) == [hooks / "post-commit"]
    watcher.repository.commit("one")
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text() == "committed\n"):  # it goes on in the background
        assert time.monotonic() < deadline
        os.sched_yield()
    assert watching.install_hooks(found, "touch again", log) == [hooks / "post-commit"]
    assert watching.remove_hooks(found) == [hooks / "post-commit"]
    assert (hooks / "post-merge").read_text() == "#!/bin/sh\nmine\n"


def test_what_is_in_no_repository_is_not_watched(automated) -> None:
    with pytest.raises(RepositoryMissing, match="is in no git repository"):
        watching.watched(automated)
