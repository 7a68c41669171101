"""Records as what JSON can hold."""

import math
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


def plain(value: Any) -> Any:
    """Return records as dictionaries and times as ISO 8601."""
    match value:
        case _ if is_dataclass(value) and not isinstance(value, type):
            names = [each.name for each in fields(value)]
            names += [name for name, member in vars(type(value)).items() if isinstance(member, property)]
            return {name: plain(getattr(value, name)) for name in names}
        case dict():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case datetime() | Path():
            return value.isoformat() if isinstance(value, datetime) else str(value)
        case float() if not math.isfinite(value):
            return None  # JSON has no word for it
        case _:
            return value
