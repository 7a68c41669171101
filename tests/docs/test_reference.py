"""What the product has, the reference names; what the reference names, the product has."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from modelwright import errors
from modelwright.cli.program import program
from modelwright.environments import findings
from modelwright.errors import ModelwrightError
from modelwright.notebooks.checking import CODES

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
SOURCES = ROOT / "src" / "modelwright"


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found, name
            yield from _commands(found, f"{path} {name}")
    else:
        yield path, command


COMMANDS = dict(_commands(program, "wright"))


def _section(text: str, heading: str) -> str:
    found = re.search(rf"^##+ {re.escape(heading)}$(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{heading} has no section"
    return found[1]


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_is_documented_with_its_options(path: str) -> None:
    section = _section((REFERENCE / "commands.md").read_text(), path)
    for parameter in COMMANDS[path].params:
        if isinstance(parameter, click.Option) and "--json" not in parameter.opts:
            assert f"`{parameter.opts[0]}" in section
    documented = set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE))
    assert documented == {option.opts[0] for option in COMMANDS[path].params if isinstance(option, click.Option)} - {
        "--json"
    }


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_can_answer_in_json(path: str) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[path].params)


def test_every_documented_command_exists() -> None:
    headings = set(re.findall(r"^##+ (wright .*)$", (REFERENCE / "commands.md").read_text(), re.MULTILINE))
    assert {each for each in headings if not any(path.startswith(f"{each} ") for path in COMMANDS)} == set(COMMANDS)


def _codes(page: str) -> set[str]:
    return set(re.findall(r"^\| `([a-z0-9-]+)` \|", (REFERENCE / page).read_text(), re.MULTILINE))


def test_errors_are_documented() -> None:
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ModelwrightError)]
    assert _codes("errors.md") == {each.code for each in classes if each is not ModelwrightError}


def test_findings_are_documented() -> None:
    assert _codes("findings.md") == set(CODES) | set(findings.CODES)


def test_settings_are_documented() -> None:
    read = set(re.findall(r'os\.environ\.get\("([A-Z_]+)"', (SOURCES / "settings.py").read_text()))
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", (REFERENCE / "settings.md").read_text(), re.MULTILINE)) == read


def test_events_are_documented() -> None:
    told = set(re.findall(r"`([a-z]+\.[a-z_]+)`", (REFERENCE / "events.md").read_text()))
    recorded = set()
    for path in (SOURCES / "store").glob("*.py"):
        recorded |= set(re.findall(r'\.record\(\s*"([a-z]+\.[a-z_]+)"', path.read_text()))
    assert recorded <= told
    by_status = {"run", "step", "deployment", "rollout"}
    assert {each for each in told if each.partition(".")[0] not in by_status} == {
        each for each in recorded if each.partition(".")[0] not in by_status
    }


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")], ids=lambda page: page.name
)
def test_links_lead_somewhere_and_commands_exist(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
    names = {path.split()[1] for path in COMMANDS}
    for name in re.findall(r"(?:^|`)wright ([a-z]+)", text, re.MULTILINE):
        assert name in names, name
