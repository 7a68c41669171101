"""What docs/registry.md says to type is typed here, in its order."""

import pickle
import re
import shlex
from pathlib import Path

from click.testing import CliRunner
from models.served import SCORE

from modelwright.cli.program import program
from modelwright.records import BuiltEnvironment

PAGE = Path(__file__).parents[2] / "docs" / "registry.md"


def test_every_command_of_the_page_does_what_it_says(folder: Path, serving_environment: BuiltEnvironment) -> None:
    (folder / "model.pkl").write_bytes(pickle.dumps(3.0))
    (folder / "score.py").write_text(SCORE)
    (folder / "sample.json").write_text('{"data": [[1.0, 2.0]]}')
    commands = re.findall(r"^\$ wright (.*)$", PAGE.read_text(), re.MULTILINE)
    assert len(commands) > 10
    told = {}
    for command in [*commands, "endpoint stop churn"]:
        done = CliRunner().invoke(program, shlex.split(command), catch_exceptions=False)
        assert done.exit_code == 0, (command, done.output)
        told[command] = done.stdout
    assert "lacks        a scoring script, a sample request, an environment" in told["model show churn:1"]
    assert "churn:2 answers at" in told["endpoint deploy churn:2"]
    assert "better on last month" in told["model history churn@champion"]
    assert (folder / "out" / "model.pkl").read_bytes() == (folder / "model.pkl").read_bytes()
