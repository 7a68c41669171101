"""How endpoints are shown: what serves there, how requests are shared out, what was done to them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelwright.cli import output

if TYPE_CHECKING:
    from modelwright.records import FrontStatus, Serving


def show_serving(serving: "Serving", front: "FrontStatus | None") -> None:
    """Print the deployments that serve, with what the front tells of them."""
    states = {each.name: each for each in front.deployments} if front else {}
    split, traffic = serving.traffic.split(), serving.traffic
    rows = []
    for each in serving.deployments:
        state = states.get(each.name)
        copies = traffic.shadows.get(each.name)
        roles = ["default"] if each.name == traffic.default else []
        roles += ["control"] if each.name == traffic.control else []
        roles += [f"shadow of {copies:g} %"] if copies else []
        told = "not running" if state is None else "ready" if state.is_ready else "not ready"
        told += " in the front" if state and state.is_fused else ""
        if state and state.script:
            told += f", with {state.script} instead of the registered script"
        counts = (state.requests, state.errors, state.restarts) if state else ("", "", "")
        share = f"{split.get(each.name, 0.0):g} %"
        rows.append((each.name, each.version, share, ", ".join(roles), each.workers, told, *counts))
    columns = ("deployment", "version", "share", "role", "workers", "state", "requests", "errors", "restarts")
    output.show_table(columns, rows, empty="nothing serves there")


def change(record: Mapping[str, Any]) -> str:
    """Return in a line what an audit record of an endpoint says that changed."""
    before, after = record["before"] or {}, record["after"] or {}
    if record["action"] == "traffic.changed":
        return f"{_split(before)} -> {_split(after)}"
    if record["action"] == "deployment.deleted":
        return ", ".join(f"{each['version']} ({each['status']})" for each in before.get("deployments", []))
    name, version = after.get("name", ""), after.get("version", "")
    told = [version if name in ("", version) else f"{name} ({version})" if version else name]
    told += [f"{before['workers']} -> {after['workers']} workers"] if "workers" in before else []
    told += [after["script"]] if after.get("script") else []
    told += [f"{after['host']}:{after['port']}"] if after.get("port") else []
    return " ".join(filter(None, told))


def _split(told: Mapping[str, Any]) -> str:
    versions = {name: each["version"] for name, each in told.get("deployments", {}).items()}
    called = {name: name if name == version else f"{name} ({version})" for name, version in versions.items()}
    parts = [f"{called.get(name, name)} {share:g} %" for name, share in told.get("split", {}).items() if share]
    shadows = told.get("traffic", {}).get("shadows", {})
    parts += [f"{called.get(name, name)} shadows {share:g} %" for name, share in shadows.items()]
    return ", ".join(parts) or "nothing"
