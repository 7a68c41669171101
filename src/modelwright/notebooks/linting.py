"""What a notebook's text tells before anything of it runs: its findings, and what a conversion would keep."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from modelwright.errors import NotebookNotConvertible
from modelwright.notebooks import deciding, planning, reading
from modelwright.notebooks.deciding import Decision
from modelwright.records import Finding


@dataclass(frozen=True)
class Lint:
    """The findings of a notebook in cell order, and what would become of its statements.

    There are no decisions when a finding would stop the conversion. Running the notebook tells more: what is changed,
    drawn and read is only feared here.
    """

    findings: tuple[Finding, ...]
    decisions: tuple[Decision, ...]

    @property
    def is_convertible(self) -> bool:
        """Whether no finding stops the conversion."""
        return not any(each.is_error for each in self.findings)


def lint(path: Path) -> Lint:
    """Return what the text of a training notebook tells. Raises what reading raises."""
    notebook = reading.read(path)
    try:
        plan = planning.plan(notebook)
    except NotebookNotConvertible as error:
        found, last = planning.check(notebook), cast("Finding", error.facts["finding"])
        return Lint(tuple(found if last in found else [*found, last]), ())
    return Lint(plan.findings, tuple(deciding.decisions(notebook, plan)))
