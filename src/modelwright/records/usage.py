"""What keeps a thing from being deleted."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Use:
    """Something that uses a thing, what for, and the command after which it does no longer."""

    kind: str
    reference: str
    detail: str
    command: str

    def __str__(self) -> str:
        """Return it as a line for people."""
        return f"{self.kind} {self.reference} ({self.detail}); to free it: {self.command}"
