"""How endpoints are shown: what serves there, how requests are shared out, what was done to them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelwright.cli import output

if TYPE_CHECKING:
    from modelwright.records import FrontStatus, Serving


def shares(serving: "Serving") -> str:
    """Return who has which share of the requests, in a line."""
    if not serving.deployments:
        return ""
    split = serving.traffic.split()
    if len(serving.deployments) == 1:
        return _named(serving, serving.deployments[0].name)
    told = [f"{_named(serving, each)} {share:g} %" for each, share in split.items() if share]
    told += [f"{_named(serving, each)} shadows {share:g} %" for each, share in serving.traffic.shadows.items()]
    return ", ".join(told)


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
    name, version = after.get("name", ""), after.get("version", "")
    told = [version if name in ("", version) else f"{name} ({version})" if version else name]
    told += [f"{before['workers']} -> {after['workers']} workers"] if "workers" in before else []
    told += [str(after[each]) for each in ("script", "reason") if after.get(each)]
    told += [f"{after['host']}:{after['port']}"] if after.get("port") else []
    return " ".join(filter(None, told))


def _named(serving: "Serving", name: str) -> str:
    """Return a deployment's name, with its version when it is another."""
    version = serving.names[name].version
    return name if name == version else f"{name} ({version})"


def _split(told: Mapping[str, Any]) -> str:
    versions = {name: each["version"] for name, each in told.get("deployments", {}).items()}
    parts = [
        f"{name if versions.get(name, name) == name else f'{name} ({versions[name]})'} {share:g} %"
        for name, share in told.get("split", {}).items()
        if share
    ]
    shadows = told.get("traffic", {}).get("shadows", {})
    return ", ".join([*parts, *(f"{name} shadows {share:g} %" for name, share in shadows.items())]) or "nothing"
