"""Compares two locks."""

from modelwright.environments.pinning import read_pins
from modelwright.records import EnvironmentDifference, Lock, Requirement, VersionChange


def difference(before: Lock, after: Lock) -> EnvironmentDifference:
    """Return what makes `after` another environment than `before`."""
    old, new = ({each.name: each for each in read_pins(lock)} for lock in (before, after))
    common = sorted(old.keys() & new.keys())
    return EnvironmentDifference(
        before=before,
        after=after,
        added=tuple(Requirement(name, new[name].version) for name in sorted(new.keys() - old.keys())),
        removed=tuple(Requirement(name, old[name].version) for name in sorted(old.keys() - new.keys())),
        changed=tuple(
            VersionChange(name, old[name].version, new[name].version)
            for name in common
            if old[name].version != new[name].version
        ),
        other_files=tuple(
            name
            for name in common
            if old[name].version == new[name].version and set(old[name].hashes) != set(new[name].hashes)
        ),
    )
