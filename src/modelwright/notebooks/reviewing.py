"""The run of a project's report: in a fresh process, in another folder, with the seed of all other runs."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from modelwright import processes
from modelwright.errors import CommandTimedOut
from modelwright.notebooks import seeds
from modelwright.notebooks.layouts import Layout
from modelwright.records import Comparison, Plan, Proof

_WORKER = Path(__file__).with_name("drawing.py")
_MOST_LETTERS = 300
_DRAWN = "drawn"


@dataclass(frozen=True)
class Review:
    """The plots of a report that drew something, and why the others did not, by their functions."""

    drawn: tuple[str, ...]
    failures: Mapping[str, str]


def review(
    plan: Plan,
    project: Path,
    layout: Layout,
    *,
    python: Path,
    environment: Mapping[str, str],
    work_folder: Path,
    timeout_seconds: float = 600.0,
) -> Review:
    """Run a project's report, if it has one; what it comes to is told, whatever goes wrong in it."""
    if plan.report is None or not (project / layout.file(layout.report)).is_file():
        return Review((), {})
    names = [each.function.name for each in plan.report.plots]
    elsewhere = work_folder / "elsewhere"
    elsewhere.mkdir(parents=True, exist_ok=True)
    request_file, answer_file = work_folder / "request.json", work_folder / "answer.json"
    asked = {
        "source": str(project.absolute() / layout.source),
        "report": layout.report,
        "plots": names,
        "output_folder": str((work_folder / "outputs").absolute()),
    }
    answer_file.unlink(missing_ok=True)
    request_file.write_text(json.dumps(asked), encoding="utf-8")
    try:
        done = processes.run(
            [python, _WORKER, request_file.absolute(), answer_file.absolute()],
            folder=elsewhere,
            environment={**environment, **seeds.ENVIRONMENT},
            timeout_seconds=timeout_seconds,
            after_timeout="leave out the cells that draw",
        )
    except CommandTimedOut as error:
        return Review((), dict.fromkeys(names, str(error)))
    if done.returncode or not answer_file.exists():
        lines = done.stderr.strip().splitlines() or [f"it ended with exit code {done.returncode}"]
        return Review((), dict.fromkeys(names, _short(lines[-1])))
    seen = json.loads(answer_file.read_text(encoding="utf-8"))
    failures = {name: _short(text) for name, text in seen["failures"].items()}
    for name in seen["plots"]:
        if not any(re.fullmatch(rf"\d+_{name}(_\d+)?\.png", each) for each in seen["pictures"]):
            failures.setdefault(name, "it draws nothing")
    return Review(tuple(each for each in seen["plots"] if each not in failures), failures)


def with_comparison(proof: Proof, found: Review) -> Proof:
    """Return a proof that tells of the report too; one that compares nothing else stays without."""
    wanted = dict.fromkeys([*found.drawn, *found.failures], _DRAWN)
    given = {**wanted, **found.failures}
    is_equal = not found.failures
    one = Comparison("report.py", "report", wanted, given, is_equal=is_equal, difference=0.0 if is_equal else math.inf)
    return replace(proof, comparisons=(*proof.comparisons, one)) if proof.comparisons and wanted else proof


def failures(proof: Proof) -> dict[str, str]:
    """Return the plots of the report that a proof found not to be drawn, by their functions, each with its cause."""
    reports = [each.project for each in proof.comparisons if each.kind == "report"]
    return {name: str(told) for each in reports for name, told in dict(each).items() if told != _DRAWN}  # type: ignore[call-overload]


def _short(text: str) -> str:
    first = " ".join(text.split())
    return first if len(first) <= _MOST_LETTERS else f"{first[:_MOST_LETTERS]}…"
