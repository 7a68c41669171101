"""Finds runs by what they were given and what they made."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from modelwright import settings
from modelwright.records import AllOf, Order, Place, Run, Status
from modelwright.runs.filtering import read_filter, read_order
from modelwright.runs.workspaces import open_workspace
from modelwright.store import searching
from modelwright.store.database import Store

NEWEST = Order(Place.ATTRIBUTE, "started", is_descending=True)


def search_runs(
    where: str | Sequence[str] = (),
    *,
    experiment: str | None = None,
    status: str | None = None,
    tags: Mapping[str, str | None] | None = None,
    order: str | None = None,
    limit: int | None = 100,
) -> list[Run]:
    """Return the runs of this folder's workspace for which all of `where` holds, newest first unless `order` says.

        search_runs("mse < 3000 and alpha = 0.5", order="mse", limit=1)

    The language of `where` is that of `modelwright.runs.filtering`; `order` is a name, with `-` before it for the
    largest first. A tag whose value is None is had under any value. Raises FilterInvalid, WorkspaceMissing.
    """
    workspace = open_workspace(settings.find_workspace(Path.cwd()))
    return find_runs(workspace.store, where, experiment=experiment, status=status, tags=tags, order=order, limit=limit)


def find_runs(
    store: Store,
    where: str | Sequence[str] = (),
    *,
    experiment: str | None = None,
    status: str | None = None,
    tags: Mapping[str, str | None] | None = None,
    order: str | None = None,
    limit: int | None = None,
    after: str = "",
) -> list[Run]:
    """Return the runs of `store` as `search_runs` does; `after` is the id of one that they come after."""
    filters = (where,) if isinstance(where, str) else tuple(where)
    return searching.search(
        store,
        AllOf(tuple(read_filter(each) for each in filters)),
        experiment=experiment,
        status=Status(status) if status else None,
        tags=tags or {},
        order=read_order(order) if order else NEWEST,
        limit=limit,
        after=after,
    )
