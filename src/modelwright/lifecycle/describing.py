"""What is said of a node of the graph in one line."""

import itertools
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from modelwright.records import Node, NodeKind

_SHOWN_DIGITS = 12
_MOST_LETTERS = 90
_MOST_FILES = 5


def described(node: Node, role: str = "") -> str:
    """Return what there is to say of a node beside its kind and name; `role` is the part that it had in the next."""
    return ", ".join(part for part in _SAYING.get(node.kind, _nothing)(node.facts, role) if part)


def moment(value: str | None) -> str:
    """Return a recorded time as people read it, in their own zone."""
    return datetime.fromisoformat(value).astimezone().strftime("%Y-%m-%d %H:%M:%S") if value else ""


def shortened(text: str) -> str:
    """Return the beginning of a text in one line."""
    line = " ".join(text.split())
    return line if len(line) <= _MOST_LETTERS else f"{line[: _MOST_LETTERS - 1]}…"


def who(facts: Mapping[str, Any], done: str) -> str:
    """Return who did a thing, when and why."""
    if "by" not in facts:
        return ""
    why = f': "{facts["why"]}"' if facts["why"] else ""
    return f"{done} {moment(facts['at'])} by {facts['by']}{why}"


def _nothing(_facts: Mapping[str, Any], role: str) -> list[str]:
    return [role]


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in values.items())


def _digest(facts: Mapping[str, Any]) -> str:
    return str(facts["digest"])[:_SHOWN_DIGITS]


def _prediction(facts: Mapping[str, Any], _role: str) -> list[str]:
    count = facts["same_id"]
    return [
        f"{facts['status']} in {facts['duration_ms']:g} ms",
        moment(facts["received_at"]),
        f"asked {shortened(facts['input'])}",
        f"answered {shortened(facts['output'])}",
        f"the last of {count} requests with this id" if count > 1 else "",
        "no model version was deployed" if facts["version"] is None else "",
    ]


def _window(facts: Mapping[str, Any], _role: str) -> list[str]:
    return [f"answered by {facts['version']}" if facts["version"] else "", str(facts["file"])]


def _endpoint(facts: Mapping[str, Any], role: str) -> list[str]:
    address = f"http://{facts['host']}:{facts['port']}/score" if facts.get("port") else ""
    return [address, "deleted" if facts.get("is_deleted") else "", role]


def _deployment(facts: Mapping[str, Any], _role: str) -> list[str]:
    ended = f" until {moment(facts['finished_at'])}" if facts["finished_at"] else ""
    begun = who(facts, "deployed") or f"deployed {moment(facts['created_at'])}"
    return [
        f"{facts['version']} to {facts['endpoint']}",
        f"{facts['status']}{ended}",
        begun,
        shortened(facts["reason"]),
    ]


def _model(facts: Mapping[str, Any], role: str) -> list[str]:
    begun = who(facts, "registered") or f"registered {moment(facts['created_at'])} by {facts['created_by']}"
    return [
        facts["framework"],
        begun,
        _pairs(facts.get("metrics", {})),
        *(f"{alias} {who(said, 'since')}".rstrip() for alias, said in facts.get("aliases", {}).items()),
        _pairs(facts.get("source", {})),
        f"digest {_digest(facts)}",
        "the parent of the version above" if role == "derived" else role,
    ]


def _run(facts: Mapping[str, Any], role: str) -> list[str]:
    return [
        f"{facts['kind']} {facts['status']}",
        who(facts, "started") or f"started {moment(facts['started_at'])} by {facts['actor']}",
        _pairs(facts.get("parameters", {})),
        _pairs(facts.get("metrics", {})),
        role if role != facts["kind"] else "",
    ]


def _step(facts: Mapping[str, Any], _role: str) -> list[str]:
    read = (f"{name} {digest[:_SHOWN_DIGITS]}" for name, digest in facts.get("read", {}).items())
    files = ", ".join(itertools.islice(read, _MOST_FILES))
    return [facts["status"], "reused" if facts["reused_from"] else "", f"read {files}" if files else ""]


def _function(facts: Mapping[str, Any], role: str) -> list[str]:
    return [f"in {facts['path']}", facts["state"], role]


def _cell(facts: Mapping[str, Any], role: str) -> list[str]:
    return [role, f"digest {_digest(facts)}", str(facts["notebook"])]


def _notebook(facts: Mapping[str, Any], _role: str) -> list[str]:
    return [str(facts["path"]), f"digest {_digest(facts)}"]


def _commit(_facts: Mapping[str, Any], role: str) -> list[str]:
    return ["the code differs from it" if role else "the code is as committed"]


def _environment(facts: Mapping[str, Any], _role: str) -> list[str]:
    return [f"Python {facts['python_version']}", str(facts["platform"]), ", ".join(facts.get("names", {}))]


def _dataset(facts: Mapping[str, Any], role: str) -> list[str]:
    return [
        f"digest {_digest(facts)}",
        f"{facts['size_bytes']:,} bytes",
        who(facts, "registered"),
        f"as {role}" if role else "",
    ]


def _pipeline(facts: Mapping[str, Any], role: str) -> list[str]:
    return [facts["description"], who(facts, "published") or f"published {moment(facts['created_at'])}", role]


def _proof(facts: Mapping[str, Any], _role: str) -> list[str]:
    equal = "equal to the notebook" if facts["is_equal"] else "NOT equal to the notebook"
    return [equal, moment(facts["created_at"])]


def _verdict(facts: Mapping[str, Any], role: str) -> list[str]:
    beside = f"compared with {facts['champion']}" if facts["champion"] else "no champion before it"
    return [role or facts["outcome"], beside, facts["reason"]]


def _alias(facts: Mapping[str, Any], _role: str) -> list[str]:
    return [f"since {moment(facts['moved_at'])}"]


_SAYING: dict[NodeKind, Callable[[Mapping[str, Any], str], list[str]]] = {
    NodeKind.NOTEBOOK: _notebook,
    NodeKind.CELL: _cell,
    NodeKind.FUNCTION: _function,
    NodeKind.COMMIT: _commit,
    NodeKind.ENVIRONMENT: _environment,
    NodeKind.DATASET: _dataset,
    NodeKind.PIPELINE: _pipeline,
    NodeKind.STEP: _step,
    NodeKind.RUN: _run,
    NodeKind.PROOF: _proof,
    NodeKind.VERDICT: _verdict,
    NodeKind.MODEL: _model,
    NodeKind.ALIAS: _alias,
    NodeKind.DEPLOYMENT: _deployment,
    NodeKind.ENDPOINT: _endpoint,
    NodeKind.WINDOW: _window,
    NodeKind.PREDICTION: _prediction,
}
