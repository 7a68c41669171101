"""Which events a subscriber gets: types, subjects, conditions, and what is refused."""

import re
from pathlib import Path

import pytest
from lifecycle.events.told import AT, registered, run_event

from modelwright.errors import EventFilterInvalid, EventTypeUnknown
from modelwright.lifecycle.events import filters, types
from modelwright.records import Envelope, Event, EventCondition, EventFilter

GRID = "Microsoft.MachineLearningServices."
SUCCEEDED = run_event("succeeded", "succeeded")


def told(event: Event, wish: EventFilter, envelope: Envelope = Envelope.CLOUD_EVENTS) -> list[str]:
    found = filters.wanted(event, wish, envelope, workspace="team")
    return [each.body["type" if envelope is Envelope.CLOUD_EVENTS else "eventType"] for each in found]


@pytest.mark.parametrize(
    ("pattern", "is_wanted"),
    [
        ("model.registered", True),
        ("MODEL.Registered", True),
        ("model.*", True),
        ("*", True),
        (f"{GRID}ModelRegistered", True),
        (f"{GRID}Model*", True),
        ("run.*", False),
        (f"{GRID}ModelDeployed", False),
    ],
)
@pytest.mark.parametrize("envelope", Envelope)
def test_types_are_ours_event_grids_or_globs(pattern: str, is_wanted: bool, envelope: Envelope) -> None:
    filters.check(EventFilter(types=(pattern,)), envelope)
    assert bool(told(registered(), EventFilter(types=(pattern,)), envelope)) is is_wanted


@pytest.mark.parametrize(
    ("asked", "letters"),
    [
        ((), [f"{GRID}RunCompleted", f"{GRID}RunStatusChanged"]),
        ((f"{GRID}RunStatusChanged",), [f"{GRID}RunStatusChanged"]),
        ((f"{GRID}RunCompleted",), [f"{GRID}RunCompleted"]),
        (("run.succeeded",), [f"{GRID}RunCompleted"]),
        (("run.*",), [f"{GRID}RunCompleted"]),
    ],
)
def test_of_a_success_one_gets_the_letters_that_one_asked_for(asked: tuple[str, ...], letters: list[str]) -> None:
    assert told(SUCCEEDED, EventFilter(types=asked), Envelope.EVENT_GRID) == letters


def test_a_failed_run_is_never_a_completed_one() -> None:
    for fact in ("failed", "cancelled"):
        assert not told(run_event(fact, fact), EventFilter(types=(f"{GRID}RunCompleted",)), Envelope.EVENT_GRID)
        assert told(run_event(fact, fact), EventFilter(types=(f"{GRID}RunStatusChanged",)), Envelope.EVENT_GRID)


def test_subjects_are_those_of_the_envelope_and_have_no_case() -> None:
    wish = EventFilter(subject_begins_with="Models/CHURN", subject_ends_with=":20")
    assert told(registered(), wish)
    assert not told(registered(), EventFilter(subject_begins_with="models/other"))
    assert not told(registered(), EventFilter(subject_ends_with=":2"))
    in_grid = EventFilter(subject_begins_with="experiments/churn/runs/")
    assert told(SUCCEEDED, in_grid, Envelope.EVENT_GRID)
    assert not told(SUCCEEDED, in_grid)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("data.ModelTags.area StringIn diabetes", True),
        ("data.modeltags.AREA StringIn heart, DIABETES", True),
        ("data.ModelTags.area StringNotIn heart", True),
        ("data.ModelTags.area StringNotIn diabetes", False),
        ("data.ModelTags.gone StringNotIn heart", True),
        ("data.ModelTags.gone StringIn heart", False),
        ("data.ModelTags.area StringContains BET", True),
        ("data.ModelTags.area StringBeginsWith dia,x", True),
        ("data.ModelTags.area StringEndsWith tes", True),
        ("data.ModelName stringin churn", True),
        ("data.ModelVersion NumberGreaterThan 19", True),
        ("data.ModelVersion NumberGreaterThan 20", False),
        ("data.ModelVersion NumberGreaterThanOrEquals 20", True),
        ("data.ModelVersion NumberLessThan 20", False),
        ("data.ModelVersion NumberLessThanOrEquals 20", True),
        ("data.ModelVersion NumberIn 1,20", True),
        ("data.ModelVersion NumberNotIn 1,20", False),
        ("data.ModelName NumberIn 1", False),
        ("data.ModelVersion StringIn 20", False),
        ("data.ModelVersion BoolEquals true", False),
        ("subject StringContains churn", True),
        ("data.ModelName.deeper StringIn churn", False),
    ],
)
def test_conditions_look_at_the_envelope(condition: str, holds: bool) -> None:
    wish = EventFilter(conditions=(filters.read_condition(condition),))
    filters.check(wish, Envelope.EVENT_GRID)
    assert bool(told(registered(), wish, Envelope.EVENT_GRID)) is holds


def test_conditions_on_our_own_envelope() -> None:
    for text in ("data.tags.area StringIn diabetes", "data.metrics.mse NumberLessThan 0.3", "type StringEndsWith ered"):
        wish = EventFilter(conditions=(filters.read_condition(text),))
        filters.check(wish, Envelope.CLOUD_EVENTS)
        assert told(registered(), wish)
    event = Event(1, "event_1", "gate.passed", "runs/run_1", AT, {"is_equal": True, "models": ["a:1", "b:2"]})
    assert told(event, EventFilter(conditions=(filters.read_condition("data.is_equal BoolEquals true"),)))
    assert told(event, EventFilter(conditions=(filters.read_condition("data.models StringBeginsWith b:"),)))
    assert not told(event, EventFilter(conditions=(filters.read_condition("data.models StringNotIn b:2"),)))


def test_all_conditions_must_hold() -> None:
    texts = ("data.tags.area StringIn diabetes", "data.version NumberGreaterThan 30")
    assert not told(registered(), EventFilter(conditions=tuple(map(filters.read_condition, texts))))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("data.tags.area StringIs diabetes", "StringIs"),
        ("data.tags.area.deep StringIn a", "data.tags.area.deep"),
        ("tags.area StringIn a", "tags.area"),
        ("eventType StringIn a", "eventType"),
        ("data StringIn a", '"data"'),
        ("data.ModelTags.area StringIn a", "takes --schema eventgrid"),
        ("data.version NumberIn one", "one"),
        ("data.version NumberIn nan", "nan"),
        ("data.version NumberGreaterThan 1,2", "2 values"),
        ("data.tags.area StringIn a,b,c,d,e,f", "6 values"),
        ("data.is_equal BoolEquals maybe", "maybe"),
        ("data.tags.area StringIn", "data.tags.area StringIn"),
    ],
)
def test_a_condition_that_is_none_is_refused(text: str, what: str) -> None:
    with pytest.raises(EventFilterInvalid, match=re.escape(what)):
        filters.check(EventFilter(conditions=(filters.read_condition(text),)), Envelope.CLOUD_EVENTS)


def test_six_conditions_are_too_many() -> None:
    six = (EventCondition("data.a", "StringIn", ("b",)),) * 6
    with pytest.raises(EventFilterInvalid, match="6 conditions"):
        filters.check(EventFilter(conditions=six), Envelope.CLOUD_EVENTS)


def test_a_type_that_no_event_has_is_refused_with_what_was_meant() -> None:
    with pytest.raises(EventTypeUnknown, match=r'did you mean "model\.registered"'):
        filters.check(EventFilter(types=("model.registerd",)), Envelope.CLOUD_EVENTS)


def test_every_event_that_the_store_records_can_be_asked_for() -> None:
    recorded = set()
    for path in (Path(__file__).parents[3] / "src" / "modelwright" / "store").glob("*.py"):
        recorded |= set(re.findall(r'\.record\(\s*"([a-z_]+\.[a-z_]+)"', path.read_text()))
    assert recorded <= types.OURS
