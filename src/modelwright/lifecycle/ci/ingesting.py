"""Brings data in as it comes, and looks at what came: rows, columns, missing cells, and how numbers are spread.

What is checked is the very version that was registered, against the version before it that passed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelwright.datasets import adding
from modelwright.errors import AutomationInvalid, IngestionRefused
from modelwright.lifecycle.sessions import Session
from modelwright.projects.ci.automation import AUTOMATION_FILE, Automation, Ingestion
from modelwright.records import DatasetVersion
from modelwright.store import datasets

# What a dataset's own tag says: the last version of it that passed.
PASSED = "passed"
_NUMBER = "number"


@dataclass(frozen=True)
class Ingested:
    """A version that passed, how many rows it has, and with which version it was compared."""

    version: DatasetVersion
    rows: int
    compared_with: str | None


def ingest(session: Session, automation: Automation) -> DatasetVersion:
    """Register the data that is there now. Raises AutomationInvalid, and what adding files raises."""
    wanted = _wanted(automation)
    with session.stage("ingest", wanted.path) as stage:
        version = adding.add_files(
            session.store,
            wanted.dataset,
            path=wanted.path,
            actor=session.actor,
            start=automation.folder,
            labels=adding.Labels(why=session.why),
        )
        stage.decided = f"{version.size_bytes:,} bytes"
        stage.recorded = version.reference
    return version


def check(session: Session, automation: Automation, reference: str | None = None) -> Ingested:
    """Check a version, by default the newest, and note on the dataset that it passed. Raises IngestionRefused."""
    wanted = _wanted(automation)
    store = session.store
    version = datasets.find_dataset_version(store, reference or wanted.dataset)
    known = datasets.get_dataset(store, wanted.dataset).tags.get(PASSED)
    before = known if known != version.reference else None
    with session.stage("check", version.reference) as stage:
        found = _summary(session, version.reference)
        faults = list(faults_of(found, wanted, before=_summary(session, before) if before else None))
        if faults:
            raise IngestionRefused(dataset=version.reference, told="; ".join(faults))
        with session.change() as opened:
            datasets.change_tags(opened, wanted.dataset, added={PASSED: version.reference})
        stage.decided = f"{found['rows']:,} rows, {len(found['columns'])} columns" + (
            f", like {before}" if before else ""
        )
        stage.recorded = version.reference
    return Ingested(version, found["rows"], before)


def faults_of(found: Mapping[str, Any], wanted: Ingestion, *, before: Mapping[str, Any] | None) -> Iterator[str]:
    """Tell what of a table, as its profile sums it up, is not as it should be."""
    if found["rows"] < wanted.rows:
        yield f"it has {found['rows']} rows, and should have at least {wanted.rows}"
    columns, known = found["columns"], before["columns"] if before else {}
    expected = wanted.columns or tuple(known)
    if expected:
        lacking = [each for each in expected if each not in columns]
        new = [each for each in columns if each not in expected]
        yield from (f'it lacks the column "{each}"' for each in lacking)
        yield from (f'the column "{each}" is new' for each in new)
    for name, column in columns.items():
        yield from _faults_of_column(name, column, known.get(name), wanted)


def _faults_of_column(
    name: str, column: Mapping[str, Any], known: Mapping[str, Any] | None, wanted: Ingestion
) -> Iterator[str]:
    if column["count"] and column["missing"] / column["count"] > wanted.missing:
        yield f'{column["missing"]} of {column["count"]} cells of "{name}" have no value'
    if known is None:
        return
    if column["type"] != known["type"]:
        yield f'"{name}" has the type {column["type"]}, and had {known["type"]}'
    elif column["type"] == _NUMBER and known["std"] and column["mean"] is not None:
        moved = abs(column["mean"] - known["mean"]) / known["std"]
        if moved > wanted.shift:
            told = f"from {known['mean']:.6g} to {column['mean']:.6g}"
            yield f'the mean of "{name}" has moved by {moved:.1f} standard deviations, {told}'


def _summary(session: Session, reference: str) -> Mapping[str, Any]:
    from modelwright.datasets import profiling  # it needs numpy

    return profiling.profile_version(session.store, reference, actor=session.actor, why=session.why).summary()


def _wanted(automation: Automation) -> Ingestion:
    if automation.ingestion is None:
        raise AutomationInvalid(path=automation.folder / AUTOMATION_FILE, reason="it has no [ingestion]")
    return automation.ingestion
