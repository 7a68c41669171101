"""The section [gate] of the project manifest."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from modelwright.errors import ProjectInvalid
from modelwright.projects.manifest import manifest_text, read_manifest
from modelwright.records import GateRules

RULES = GateRules(
    minimum_improvement=0.5,
    confidence=0.9,
    slices=("sex", 'odd "name"'),
    slice_tolerance=1,
    max_size_bytes=1000,
    max_latency_ms=2.5,
    check="small.checks:is_fair",
)


def test_the_rules_read_back_as_they_were_written(project: Path) -> None:
    manifest = replace(read_manifest(project), gate_rules=RULES)
    (project / "wright.toml").write_text(manifest_text(manifest))
    assert read_manifest(project) == manifest


def test_a_gate_of_before_there_were_rules_asks_for_nothing_more(project: Path) -> None:
    assert read_manifest(project).gate_rules == GateRules()
    assert "confidence" not in manifest_text(read_manifest(project))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("treshold = 1", '[gate] has no "treshold"; it has metric, goal, minimum_improvement, confidence, slices, '),
        ("minimum_improvement = -1", "minimum_improvement is -1, and must be a number, at least 0"),
        ("minimum_improvement = true", "minimum_improvement is True, and must be a number"),
        ("confidence = 95", "confidence is 95, and must be a number between 0 and 1, such as 0.95"),
        ('slices = "sex"', "slices is 'sex', and must be a list of columns"),
        ("slice_tolerance = 1", "slice_tolerance is of groups, and there are no slices"),
        ("max_size_bytes = 1.5", "max_size_bytes is 1.5, and must be a whole number, at least 1"),
        ('max_latency_ms = "5"', "max_latency_ms is '5', and must be a number of milliseconds above 0"),
        ('check = "is_fair"', "check is 'is_fair', and must be a function of the project"),
    ],
)
def test_what_a_gate_cannot_ask_for_is_refused_with_its_line(project: Path, line: str, reason: str) -> None:
    path = project / "wright.toml"
    path.write_text(path.read_text().replace("[gate]", f"[gate]\n{line}"))
    number = path.read_text().splitlines().index(line) + 1
    with pytest.raises(ProjectInvalid, match=re.escape(f"line {number}: {reason}")):
        read_manifest(project)
