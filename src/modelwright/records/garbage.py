"""Files that nothing refers to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Garbage:
    """A blob that no row names, and why that is so."""

    digest: str
    size_bytes: int
    why: str


@dataclass(frozen=True)
class Collection:
    """What was found that nothing refers to, and the proof that all else is as it was.

    Of the `named` blobs, which rows refer to, `present` were there before and `still_present` afterwards. `missing` are
    the digests of those that were not there before, `lost` of those that were and are no longer: there must be none.
    `kept` tells what was left though nothing refers to it. When `is_dry` nothing was deleted.
    """

    is_dry: bool
    garbage: tuple[Garbage, ...]
    folders: tuple[str, ...]
    named: int
    present: int
    still_present: int
    missing: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """What the blobs take that nothing refers to."""
        return sum(each.size_bytes for each in self.garbage)
