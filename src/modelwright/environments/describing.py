"""All that is known of an environment: its lock, its names, who uses it, whether it is built."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelwright.environments import placing
from modelwright.environments.registration import environment_lock
from modelwright.records import BuiltEnvironment, EnvironmentVersion, Lock
from modelwright.records.plain import plain
from modelwright.store import environments
from modelwright.store.database import Store


@dataclass(frozen=True)
class Described:
    """A lock with its names, what uses it now, and what was built of it, if anything."""

    lock: Lock
    versions: Sequence[EnvironmentVersion]
    users: Sequence[str]
    built: BuiltEnvironment | None

    def told(self) -> dict[str, Any]:
        """Return it as JSON can hold it, without where on this machine it lies."""
        found: dict[str, Any] = plain(self.lock)
        return found | {"versions": plain(self.versions), "users": list(self.users), "is_built": self.built is not None}


def describe(store: Store, reference: str) -> Described:
    """Return all that is known of an environment. Raises EnvironmentMissing and EnvironmentAmbiguous."""
    lock = environment_lock(store, reference)
    return Described(
        lock,
        environments.list_environment_versions(store, digest=lock.digest),
        environments.list_users(store, lock.digest),
        placing.find_in(store, lock),
    )
