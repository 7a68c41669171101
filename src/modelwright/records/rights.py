"""Who may do what, and who let what go on."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What the holder of a token may do; each role may do what those before it may.

    A reader looks. A contributor runs, logs and registers. A deployer changes what serves. An owner changes who may
    do what, what is kept, and what the machine does of its own accord.
    """

    READER = "reader"
    CONTRIBUTOR = "contributor"
    DEPLOYER = "deployer"
    OWNER = "owner"

    def allows(self, needed: "Role") -> bool:
        """Whether this role may do what takes the role `needed`."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True)
class Token:
    """What is known of a token; itself it is shown once, when it is made."""

    name: str
    role: Role
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def state(self, at: datetime) -> str:
        """Return `counts`, `expired` or `revoked`: what it is at that time."""
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= at else "counts"


@dataclass(frozen=True)
class Approval:
    """That somebody let `subject`, such as `models/churn:3`, go on to `stage`, or did not, and why."""

    id: str
    subject: str
    stage: str
    is_approved: bool
    actor: str
    why: str
    created_at: datetime
