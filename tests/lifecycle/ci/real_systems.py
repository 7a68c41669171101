"""All workflow files of all systems with the real `wright`, from a commit to production and back: `make workflows`.

Too long for the suite, where `test_local_files` runs all of them with one that only writes down how it was called.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from journeys.terminal import Terminal
from lifecycle.ci.repositories import Repository

PAGE = Path(__file__).parents[3] / "docs" / "ci.md"
BLOCKS = [block.splitlines() for block in re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)]
GOOD = "age,bmi\n" + "".join(f"{30 + number},{20 + number / 10}\n" for number in range(20))
FILES = {
    "github": (".github/workflows/{}.yml", "production"),
    "azure": (".pipelines/{}.yml", "production"),
    "gitlab": (".gitlab-ci.yml", "approve"),
}


@pytest.fixture
def terminal(automated: Path) -> Iterator[Terminal]:
    opened = Terminal(automated)
    yield opened
    opened.wright("down")


@pytest.mark.parametrize("system", FILES)
def test_from_a_commit_to_production_and_back(terminal: Terminal, system: str) -> None:
    pattern, approval = FILES[system]
    file = {name: pattern.format(name) for name in ("quality", "train", "release", "ingest")}
    by_hand = ("--event", "manual", "--input", "BUILD=latest" if system == "gitlab" else "build=latest")
    last = {"github": "report", "azure": "Training", "gitlab": "report"}[system]
    repository = Repository(terminal.folder)

    def served() -> dict[str, str]:
        return {each["name"]: each["serves"] for each in terminal.json("endpoint", "list")}

    assert "quality: succeeded" in terminal.wright("ci", "run", file["quality"], "--event", "pull_request").stdout
    assert "report: succeeded" in terminal.wright("ci", "run", file["train"], "--stage", last).stdout
    done = terminal.wright("ci", "run", file["train"], "--stage", last, expect=1)
    assert "Model was not registered for this run." in done.stdout
    assert "report: failed" in done.stdout
    waits = terminal.wright("ci", "run", file["release"], *by_hand, expect=1)
    assert f'waits for somebody to approve of "{approval}"' in waits.stderr
    assert served() == {"small-test": "small:1"}
    terminal.wright("ci", "run", file["release"], *by_hand, "--approve", approval)
    assert served() == {"small": "small:1", "small-test": "small:1"}

    repository.change("README.md", "small", "larger")
    assert "wright ci train" not in terminal.wright("ci", "run", file["train"]).stdout

    (terminal.folder / "parameters.toml").write_text("alpha = 0.9\n")
    repository.change("src/small/score.py", '["data"]]', '["data"][:2]]')
    assert "report: succeeded" in terminal.wright("ci", "run", file["train"], "--stage", last).stdout
    done = terminal.wright("ci", "run", file["release"], *by_hand, "--approve", approval, expect=1)
    assert "3 rows were asked, and 2 results came back" in done.stdout
    assert "rollback: succeeded" in done.stdout
    assert served() == {"small": "small:1", "small-test": "small:1"}

    repository.change("tests/test_train.py", "== 1.5", "== 2.5")
    done = terminal.wright("ci", "run", file["quality"], "--event", "pull_request", expect=1)
    assert "quality: failed" in done.stdout
    assert "1 failed" in done.stdout

    (terminal.folder / "data").mkdir()
    for text, code in ((GOOD, 0), (GOOD.replace("30,", "3000,"), 1)):
        (terminal.folder / "data" / "rows.csv").write_text(text)
        repository.commit("data")
        done = terminal.wright("ci", "run", file["ingest"], "--event", "schedule", "--input", "INGEST=1", expect=code)
        assert f"check: {'failed' if code else 'succeeded'}" in done.stdout


@pytest.fixture
def page_terminal(tested: Path) -> Iterator[Terminal]:
    opened = Terminal(tested)
    yield opened
    opened.wright("down")


def _said(line: str) -> list[str]:
    """Return the words after `wright` of a line of the page, with what it calls by example."""
    words = shlex.split(line.replace("PROJECT", ".").replace("churn:3", "small:1"))
    assert words[0] == "wright"
    return words[1:]


def test_the_page_leads_from_a_commit_to_production(page_terminal: Terminal) -> None:
    terminal = page_terminal
    init, approval, running, watching = BLOCKS
    (line,) = init
    terminal.wright(*_said(line))
    page = terminal.folder / "ci.toml"
    page.write_text(page.read_text().replace('"sample.json"\n', '"rows.json"\n'))
    repository = Repository(terminal.folder)

    train, release, quality = running
    terminal.wright(*_said(train))
    terminal.wright(*_said(quality))
    for line in approval:
        shown = terminal.wright(*_said(line))
    assert "looked at the slices" in shown.stdout
    assert "Production.deploy: succeeded" in terminal.wright(*_said(release)).stdout
    assert _served(terminal) == {"small": "small:1", "small-test": "small:1"}

    # What answers too little is taken back.
    (line,) = watching
    terminal.wright(*_said(line), "--once")
    (terminal.folder / "parameters.toml").write_text("alpha = 0.9\n")
    repository.change("src/small/score.py", '["data"]]', '["data"][:2]]')
    done = terminal.wright(*_said(line), "--once")
    assert "small:2 does not go out, and what it replaced is back" in done.stdout
    assert _served(terminal) == {"small": "small:1", "small-test": "small:1"}


def _served(terminal: Terminal) -> dict[str, str]:
    return {each["name"]: each["serves"] for each in terminal.json("endpoint", "list")}
