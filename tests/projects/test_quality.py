"""What `wright ci quality` finds, with the real tools, and that all of its reports are there when it is not green."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from modelwright.errors import QualityFailed
from modelwright.projects import quality
from modelwright.records import BuiltEnvironment


def test_reports_are_written_whatever_is_found(project: Path, environment: BuiltEnvironment, tmp_path: Path) -> None:
    (project / "tests").mkdir()
    (project / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["src"]\n')
    (project / "tests" / "test_train.py").write_text(
        "import os\nfrom small import train\n\ndef test_fit():\n    assert train.fit([1.0], 0.5) == 7\n"
    )
    into = tmp_path / "reports"
    found = quality.check(project, source="src", into=into, environment=environment, workspace=tmp_path / ".wright")
    assert (found.lint, found.tests.split(" in ")[0]) == ("2 findings", "1 failed")
    assert 0 < float(found.coverage.removesuffix("%")) < 100
    assert [each.partition(":")[0] for each in found.faults] == ["lint", "tests"]
    for name in ("lint-testresults.xml", "unit-testresults.xml"):
        assert ET.parse(into / name).getroot().find(".//failure") is not None
    assert ET.parse(into / "coverage.xml").getroot().tag == "coverage"
    assert (into / "coverage" / "index.html").is_file()
    with pytest.raises(QualityFailed, match="does not pass: lint: 2 findings; tests: 1 failed"):
        quality.require(project, found, into=into)
