"""Runs a workflow's jobs, each when what it waits for has ended: one after the other, or several at once."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

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
    at_once: int = 1,
) -> Report:
    """Run the jobs, or those that the job or stage `only` needs and itself; return what came of them.

    A job that somebody must approve of runs when its approval is among those `approved`. Of several `at_once` the lines
    of each are told together, when it has ended. Raises WorkflowUnknown.
    """
    running = _Running(workflow, situation, place, _discreet(tell, situation), approved, at_once)
    try:
        running.run(_ordered(workflow, only))
    except ExpressionInvalid as error:
        raise WorkflowUnknown(path=workflow.path, reason=error) from error
    return running.report


@dataclass
class _Running:
    """Jobs at work: those that go on, each in a thread, and what came of the others."""

    workflow: Workflow
    situation: Situation
    place: Place
    tell: Tell
    approved: Sequence[str]
    at_once: int
    report: Report = field(default_factory=Report)
    stopped: threading.Event = field(default_factory=threading.Event)
    begun: dict[Future[Result], Job] = field(default_factory=dict)

    def run(self, waiting: list[Job]) -> None:
        """Run all; whatever ends that ends what goes on."""
        with ThreadPoolExecutor(self.at_once) as pool:
            try:
                while waiting or self.begun:
                    waiting = [each for each in waiting if not self._begin(each, pool)]
                    if self.begun:
                        self._end(*wait(self.begun, return_when=FIRST_COMPLETED).done)
            finally:
                self.stopped.set()

    def _begin(self, job: Job, pool: ThreadPoolExecutor) -> bool:
        """Begin a job whose turn it is, or find out that it is none; return whether there is more to do for it."""
        if len(self.begun) == self.at_once or not all(each in self.report.results for each in job.needs):
            return False
        if not _is_due(self.workflow, self.situation, job, self.report):
            self._note(job, Result.SKIPPED)
        elif job.approval and job.approval not in self.approved:
            self.report.waiting = job.approval
            self._note(job, Result.WAITS)
        else:
            self.begun[pool.submit(self._work, job)] = job
        return True

    def _work(self, job: Job) -> Result:
        if self.at_once == 1:
            return self._run(job, self.tell)
        self.tell(f"{job.name}: begins")
        lines: list[str] = []
        try:
            return self._run(job, lines.append)
        finally:
            self.tell("\n".join(lines))

    def _run(self, job: Job, tell: Tell) -> Result:
        dialect, stopped = self.workflow.dialect, self.stopped
        return jobs.run(job, dialect, self.situation, self.place, report=self.report, tell=tell, stopped=stopped)

    def _end(self, *ended: Future[Result]) -> None:
        for each in ended:
            self._note(self.begun.pop(each), each.result())

    def _note(self, job: Job, result: Result) -> None:
        self.report.results[job.name] = result
        self.tell(f"{job.name}: {result}")


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
