"""`/experiments`: names for runs that belong together."""

from modelwright.api.acting import Reading
from modelwright.api.paging import Paged
from modelwright.api.routing import Router
from modelwright.records import Experiment
from modelwright.store import experiments

router = Router("/experiments")
_MOST = 100_000


@router.get("")
def list_experiments(reading: Reading, page: Paged) -> list[Experiment]:
    """List the experiments that were not put away; `GET /runs?experiment=NAME` lists the runs of one."""
    found = experiments.search_experiments(reading, (), is_deleted=False, orders=(), offset=0, limit=_MOST)
    return page.cut(found, lambda each: each.name)


@router.get("/{name:path}")
def show_experiment(name: str, reading: Reading) -> Experiment:
    """Show an experiment, which may have been put away."""
    return experiments.find_by_name(reading, name)
