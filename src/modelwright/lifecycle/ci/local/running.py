"""Runs a workflow's jobs one after the other, each when what it waits for has ended."""

from collections.abc import Mapping, Sequence

from modelwright.errors import WorkflowUnknown
from modelwright.lifecycle.ci.local import jobs
from modelwright.lifecycle.ci.local.expressions import ExpressionInvalid
from modelwright.lifecycle.ci.local.workflow import Job, Place, Report, Result, Scope, Situation, Tell, Workflow

# The one secret that comes from us, unasked.
_SECRET = "WRIGHT_TOKEN"  # noqa: S105 - its name


def run(
    workflow: Workflow,
    situation: Situation,
    place: Place,
    *,
    tell: Tell,
    only: str | None = None,
    approved: Sequence[str] = (),
) -> Report:
    """Run the jobs, or those that the job or stage `only` needs and itself; return what came of them.

    A job that somebody must approve of runs when its approval is among those `approved`. Raises WorkflowUnknown.
    """
    report = Report()
    discreet = _discreet(tell, situation)
    try:
        for job in _ordered(workflow, only):
            if not _is_due(workflow, situation, job, report):
                result = Result.SKIPPED
            elif job.approval and job.approval not in approved:
                report.waiting, result = job.approval, Result.WAITS
            else:
                result = jobs.run(job, workflow.dialect, situation, place, report=report, tell=discreet)
            report.results[job.name] = result
            tell(f"{job.name}: {result}")
    except ExpressionInvalid as error:
        raise WorkflowUnknown(path=workflow.path, reason=error) from error
    return report


def _discreet(tell: Tell, situation: Situation) -> Tell:
    """Return what tells lines with the token left out, as the systems do with their secrets."""
    token = situation.variables.get(_SECRET)
    return (lambda line: tell(line.replace(token, "***"))) if token else tell


def _is_due(workflow: Workflow, situation: Situation, job: Job, report: Report) -> bool:
    known = {each.name: each for each in workflow.jobs}
    for number, condition in enumerate(job.conditions):
        before = _all_before(known, condition.needs, number)
        statuses = [report.results[each] for each in before if each in report.results]
        scope = Scope(situation, statuses, report.results, report.outputs)
        if not workflow.dialect.holds(condition.text, scope):
            return False
    return True


def _all_before(known: Mapping[str, Job], needs: Sequence[str], number: int) -> list[str]:
    """Return the jobs that are waited for, and those that these wait for."""
    found: list[str] = []
    waiting = list(needs)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.append(name)
            conditions = known[name].conditions
            waiting += conditions[number].needs if number < len(conditions) else ()
    return found


def _ordered(workflow: Workflow, only: str | None) -> list[Job]:
    """Return the jobs so that each comes after those that it needs. Raises WorkflowUnknown."""
    known = {each.name: each for each in workflow.jobs}
    ordered: list[Job] = []
    open_jobs: list[str] = []

    def visit(job: Job) -> None:
        if job in ordered:
            return
        if job.name in open_jobs:
            raise WorkflowUnknown(path=workflow.path, reason=f"job {job.name} waits for itself")
        open_jobs.append(job.name)
        for name in job.needs:
            if name not in known:
                raise WorkflowUnknown(path=workflow.path, reason=f'job {job.name} needs "{name}", which there is not')
            visit(known[name])
        open_jobs.pop()
        ordered.append(job)

    wanted = [each for each in workflow.jobs if only in {None, each.name, each.stage}]
    if not wanted:
        raise WorkflowUnknown(path=workflow.path, reason=f'it has no job or stage "{only}"')
    for each in wanted:
        visit(each)
    return ordered
