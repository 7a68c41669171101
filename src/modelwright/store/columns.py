"""What the tables are made of: their columns, and the types that SQL does not have."""

import math
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Timestamp(sa.types.TypeDecorator[datetime]):
    """A UTC time kept as ISO 8601 text with microseconds: sorts as text and reads the same in every database."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the text that is stored."""
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the time that was stored."""
        return None if value is None else datetime.fromisoformat(value)


class Number(sa.types.TypeDecorator[float]):
    """A float that may be NaN. SQLite keeps NaN as NULL and would refuse it, so NULL is what stands for NaN here."""

    impl = sa.Float
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: sa.Dialect) -> float | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the number that is stored."""
        return None if value is None or math.isnan(value) else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> float:  # noqa: ARG002 - SQLAlchemy's signature
        """Return the number that was stored."""
        return math.nan if value is None else float(value)


def column(name: str, kind: Any = sa.Text, *rest: Any, **options: Any) -> sa.Column[Any]:
    """Return a column that must have a value unless it is `nullable`."""
    return sa.Column(name, kind, *rest, nullable=options.pop("nullable", False), **options)


def link(name: str, target: str, **options: Any) -> sa.Column[Any]:
    """Return a column that refers to `target`, which cannot be deleted while it does."""
    return column(name, sa.Text, sa.ForeignKey(target, ondelete="RESTRICT"), **options)


def labels(name: str, owner: str, target: str, **options: Any) -> sa.Table:
    """Return the table of the names and texts that belong to rows of another, which are found by them too."""
    of_owner = link(owner, target, primary_key=True)
    return sa.Table(
        name,
        metadata,
        of_owner,
        column("name", primary_key=True),
        column("value"),
        sa.Index(None, "name", "value"),
        **options,
    )
