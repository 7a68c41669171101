"""Folders that MLflow saved a model to: what their MLmodel file says, without MLflow and without running anything.

Source of the format: mlflow.org, "MLflow Models", storage format and model signature.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelwright.errors import ModelFolderInvalid

FILE = "MLmodel"
_GENERIC = "python_function"  # the flavor that every model of Python has besides its own
REQUIREMENTS = ("requirements.txt", "conda.yaml", "python_env.yaml")
_TYPES = {
    "boolean": "boolean",
    "integer": "number",
    "long": "number",
    "float": "number",
    "double": "number",
    "string": "string",
    "binary": "string",
    "datetime": "string",
}
_SUFFIX = "_version"


@dataclass(frozen=True)
class MLflowModel:
    """What a folder of MLflow says of its model; `signature` is empty when it says none."""

    flavors: tuple[str, ...]
    framework: str
    framework_version: str
    signature: Mapping[str, object] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()


def read(folder: Path) -> MLflowModel | None:
    """Return what `folder` says of its model; None when MLflow did not make it. Raises ModelFolderInvalid."""
    path = folder / FILE
    if not path.is_file():
        return None
    import yaml

    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelFolderInvalid(path=path, reason=" ".join(str(error).split())) from error
    flavors = told.get("flavors") if isinstance(told, dict) else None
    if not isinstance(flavors, dict) or not flavors:
        raise ModelFolderInvalid(path=path, reason='it names no "flavors"')
    framework = next((name for name in flavors if name != _GENERIC), _GENERIC)
    known = {
        "model_uuid": told.get("model_uuid"),
        "run_id": told.get("run_id"),
        "version": told.get("mlflow_version"),
        "python_version": (flavors.get(_GENERIC) or {}).get("python_version"),
        "flavors": ",".join(flavors),
    }
    return MLflowModel(
        flavors=tuple(flavors),
        framework=framework,
        framework_version=_version(framework, flavors[framework] or {}),
        signature=_signature(path, told.get("signature")),
        properties={f"mlflow.{name}": str(value) for name, value in known.items() if value},
        requirements=tuple(name for name in REQUIREMENTS if (folder / name).is_file()),
    )


def _version(framework: str, flavor: Mapping[str, Any]) -> str:
    """Return the framework's version, which each flavor spells in its own way: `sklearn_version`, `xgb_version`."""
    named = [name for name in flavor if name.endswith(_SUFFIX) and name != f"python{_SUFFIX}"]
    best = f"{framework}{_SUFFIX}"
    return str(flavor[best if best in named else named[0]]) if named else ""


def _signature(path: Path, told: Any) -> dict[str, object]:
    if not isinstance(told, dict):
        return {}
    found: dict[str, object] = {}
    for part in ("inputs", "outputs"):
        text = told.get(part)
        if text:
            try:
                found[part] = _schema(json.loads(text))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ModelFolderInvalid(path=path, reason=f"its signature's {part} cannot be read") from error
    return found


def _schema(columns: list[dict[str, Any]]) -> dict[str, object]:
    """Return columns, or one tensor, as the JSON Schema of their rows."""
    tensors = [each["tensor-spec"] for each in columns if each["type"] == "tensor"]
    if len(tensors) == len(columns) == 1:
        return _tensor(tensors[0])
    if any("name" not in each for each in columns):
        row = {"type": "array", "items": {}, "minItems": len(columns), "maxItems": len(columns)}
        return {"type": "array", "items": row}
    return {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {str(each["name"]): _column(each) for each in columns},
            "required": [str(each["name"]) for each in columns if each.get("required", True)],
        },
    }


def _column(column: Mapping[str, Any]) -> dict[str, object]:
    if column["type"] == "tensor":
        return _tensor(column["tensor-spec"])
    known = _TYPES.get(str(column["type"]))
    return {"type": known} if known else {}


def _tensor(specification: Mapping[str, Any]) -> dict[str, object]:
    """Return the schema of nested arrays, each of the length that the shape says where it says one."""
    kind = str(specification["dtype"])
    schema: dict[str, object] = {"type": "number"} if kind.startswith(("float", "int", "uint")) else {}
    for length in _inside_out(specification["shape"]):
        bounds = {"minItems": length, "maxItems": length} if length >= 0 else {}
        schema = {"type": "array", "items": schema, **bounds}
    return schema


def _inside_out(shape: list[int]) -> Iterator[int]:
    yield from (int(length) for length in reversed(shape))
