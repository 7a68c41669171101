"""Data that is brought in is checked itself: good data passes, and each way of being bad is told."""

from dataclasses import replace

import pytest

from modelwright.errors import AutomationInvalid, IngestionRefused
from modelwright.lifecycle.ci import ingesting
from modelwright.lifecycle.sessions import Session
from modelwright.projects.ci.automation import Automation
from modelwright.store import datasets

GOOD = "age,bmi,kind\n" + "".join(f"{30 + number},{20 + number / 10},{'ab'[number % 2]}\n" for number in range(20))


def _ingest(session: Session, automation: Automation, text: str) -> ingesting.Ingested:
    (automation.folder / "data").mkdir(exist_ok=True)
    (automation.folder / "data" / "new.csv").write_text(text)
    return ingesting.check(session, automation, ingesting.ingest(session, automation).reference)


def test_good_data_passes_and_is_what_the_next_is_compared_with(session: Session, automation: Automation) -> None:
    first = _ingest(session, automation, GOOD)
    assert (first.version.reference, first.rows, first.compared_with) == ("small-data:1", 20, None)
    again = _ingest(session, automation, GOOD.replace("30,20.0", "31,20.5"))
    assert (again.version.reference, again.compared_with) == ("small-data:2", "small-data:1")
    assert datasets.get_dataset(session.store, "small-data").tags == {"passed": "small-data:2"}


BAD = [
    (GOOD.replace("30,", "3000,"), 'the mean of "age" has moved by 25.1 standard deviations'),
    (GOOD.replace("31,", ","), '1 of 20 cells of "age" have no value'),
    (GOOD.replace("age,bmi,kind", "age,bmi,sort"), 'it lacks the column "kind"; the column "sort" is new'),
    (GOOD.replace("30,20.0,a", "old,20.0,a"), '"age" has the type string, and had number'),
    ("age,bmi,kind\n", "it has 0 rows, and should have at least 1"),
]


def test_bad_data_is_refused_and_never_compared_with(session: Session, automation: Automation) -> None:
    _ingest(session, automation, GOOD)
    for bad, told in BAD:
        with pytest.raises(IngestionRefused) as raised:
            _ingest(session, automation, bad)
        assert told in str(raised.value)
        assert datasets.get_dataset(session.store, "small-data").tags == {"passed": "small-data:1"}


def test_rules_of_ci_toml_count(session: Session, automation: Automation) -> None:
    assert automation.ingestion
    strict = replace(automation, ingestion=replace(automation.ingestion, rows=21, columns=("age", "bmi")))
    with pytest.raises(IngestionRefused, match='has 20 rows, and should have at least 21; the column "kind" is new'):
        _ingest(session, strict, GOOD)
    with pytest.raises(AutomationInvalid, match=r"it has no \[ingestion\]"):
        ingesting.ingest(session, replace(automation, ingestion=None))
