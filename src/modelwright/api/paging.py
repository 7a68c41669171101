"""A page of a list: at most so many, after the last of the page before. The answer's Link header has the next one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar
from urllib.parse import quote, urlencode

from fastapi import Depends, Query, Request

from modelwright.errors import PageUnknown

_MOST = 1000
_LONGEST_KEY = 4096  # such as the path of a file
_LARGEST = 2**63  # that the database cannot hold
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Page:
    """Which part of a list is asked for. `after` names the last of the page before, empty for the first page."""

    request: Request
    limit: int
    after: str

    @property
    def number(self) -> int | None:
        """What the page begins after, of a list whose items have numbers. Raises PageUnknown."""
        if self.after and not (self.after.isdecimal() and int(self.after) < _LARGEST):
            raise PageUnknown(after=self.after)
        return int(self.after) if self.after else None

    def cut(self, found: Sequence[_Item], key: Callable[[_Item], str]) -> list[_Item]:
        """Return this page of a whole list. Raises PageUnknown when what it begins after is not in the list."""
        start = 0
        if self.after:
            places = [number for number, each in enumerate(found) if key(each) == self.after]
            if not places:
                raise PageUnknown(after=self.after)
            start = places[0] + 1
        return self.first(found[start : start + self.limit + 1], key)

    def first(self, found: Sequence[_Item], key: Callable[[_Item], str]) -> list[_Item]:
        """Return this page of a list that begins with it and has one more if there is a next page."""
        page = list(found[: self.limit])
        if len(found) > self.limit:
            asked = [each for each in self.request.query_params.multi_items() if each[0] not in {"after", "limit"}]
            query = urlencode([*asked, ("after", key(page[-1])), ("limit", self.limit)])
            self.request.state.next_page = f"{quote(self.request.scope['path'], safe='/:@')}?{query}"
        return page


def _page(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=_MOST, description="At most so many.")] = 100,
    after: Annotated[
        str, Query(max_length=_LONGEST_KEY, description="Begin after this one, as the Link header says.")
    ] = "",
) -> Page:
    return Page(request, limit, after)


# The part of a list that a request asks for.
Paged = Annotated[Page, Depends(_page)]
