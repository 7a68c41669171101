"""Scoring derived from a training notebook: what is tried in its kernel, and the scripts of what held there."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelwright.notebooks import dataflow, replaying, results, rowwise, saving, scoring, statements
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.replaying import Refusal, Replay
from modelwright.records import Finding, Notebook, NotebookRun, Plan, ProbePoint, Trace


@dataclass(frozen=True)
class Rehearsal:
    """The ways from raw rows to a plan's model: `notebook` with `probe` tries them when it runs."""

    notebook: Notebook
    probe: tuple[ProbePoint, ...]
    original: Notebook
    trace: Trace
    flow: Flow
    replays: tuple[Replay, ...]
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True)
class Candidate:
    """A notebook that saves what scoring needs, its trace and scoring script, and what is to be said about it."""

    notebook: Notebook
    trace: Trace
    script: scoring.Script
    findings: tuple[Finding, ...]


def rehearsal(notebook: Notebook, plan: Plan, trace: Trace | None) -> Rehearsal | None:
    """Return what is to be tried; None when the plan's model predicts on no rows, or nothing was traced."""
    points = {each.kind: each for each in plan.training_probe}
    if trace is None or not {"rows", "predictions"} <= points.keys():
        return None
    flow = dataflow.flow(statements.statements(notebook), trace)
    place = replaying.place(flow, points["rows"])
    if place is None:
        return None
    learnt = results.results(flow).learning
    found, refused = replaying.replays(flow, learnt, at=place[0], rows=place[1], model=plan.model)
    final = (points["predictions"].cell, points["predictions"].line)
    tried = replaying.points(flow, found, model=plan.model, final=final)
    return Rehearsal(
        notebook=saving.hoisted(notebook, flow, found),
        probe=(*plan.training_probe, *tried),
        original=notebook,
        trace=trace,
        flow=flow,
        replays=tuple(found),
        refusals=tuple(refused),
    )


def candidates(rehearsed: Rehearsal, plan: Plan, run: NotebookRun) -> list[Candidate]:
    """Return what gave the notebook's own predictions when it was tried in `run`, the rawest rows first."""
    if any(each.problem == rowwise.STACKS for each in rehearsed.refusals):
        return []  # rows to learn from and rows to test with were one table: what a request would hold is not known
    outcomes = [run.replays.get(f"replay.{number}") for number in range(len(rehearsed.replays))]
    found = []
    for replay, outcome in zip(rehearsed.replays, outcomes, strict=True):
        if outcome is None or not outcome["is_equal"]:
            continue
        notebook = saving.with_saved(rehearsed.original, rehearsed.flow, replay, model=plan.model)
        files = saving.files(notebook, replay, model=plan.model, otherwise=(plan.model_file, plan.loader))
        script = scoring.replayed(rehearsed.flow, replay, outcome, model=plan.model, files=files)
        trace = saving.with_trace(rehearsed.trace, rehearsed.flow, replay)
        found.append(Candidate(notebook, trace, script, tuple(_findings(rehearsed, outcomes, replay))))
    return found


def findings(rehearsed: Rehearsal, run: NotebookRun) -> list[Finding]:
    """Return why no way from raw rows was found, when none held."""
    outcomes = [run.replays.get(f"replay.{number}") for number in range(len(rehearsed.replays))]
    return _findings(rehearsed, outcomes, None)


def _findings(rehearsed: Rehearsal, outcomes: Sequence[object], taken: Replay | None) -> list[Finding]:
    """Return the step in the way of the rawest table that scoring does not start from."""
    before = len(rehearsed.flow.statements) if taken is None else taken.start
    stops = [(each.start, each.statement, each.problem) for each in rehearsed.refusals if each.start < before]
    for replay, outcome in zip(rehearsed.replays, outcomes, strict=True):
        if replay.start < before and isinstance(outcome, dict) and not outcome["is_equal"]:
            lines = [index for index, line in replay.steps.items() if line <= outcome["line"]]
            last = max(lines or replay.steps or [replay.start])
            stops.append((replay.start, last if taken is None else min(last, taken.start), outcome["problem"]))
    stops = [each for each in stops if each[2] not in {replaying.NOT_ON_THE_WAY, replaying.OTHER_ROWS}]
    if not stops:
        return []
    _, index, problem = max(stops)
    statement = rehearsed.flow.statements[index]
    line = statement.source.splitlines()[0]
    return [
        Finding(
            code="scoring-step-not-replayed",
            message=f'"{line}" is not repeated for the rows of a request: {problem}',
            fix="fit what it learns in an object and use that, or add a scoring notebook",
            notebook=rehearsed.original.path.name,
            cell=statement.cell,
            line=statement.line,
        )
    ]
