"""How the traffic of an endpoint changes when deployments come, go, and are given other shares. Pure."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from modelwright.errors import DeploymentMissing, NameInvalid, TrafficInvalid
from modelwright.records import Placement, Serving, Traffic
from modelwright.records.traffic import MAX_DEPLOYMENTS

_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?")
_NAME_RULE = "letters, digits, . and -, at most 63, beginning with a letter; or the version's own reference"


@dataclass(frozen=True)
class Shift:
    """What is to change of an endpoint's traffic; what is not given stays. An empty sticky header ends stickiness."""

    shares: Mapping[str, float] = field(default_factory=dict)
    shadows: Mapping[str, float] = field(default_factory=dict)
    default: str | None = None
    control: str | None = None
    sticky_header: str | None = None


def check_name(name: str, *, version: str) -> str:
    """Return `name`, which must be one that a deployment of `version` may have. Raises NameInvalid."""
    if name != version and not _NAME.fullmatch(name):
        raise NameInvalid(name=name, noun="deployment", rule=_NAME_RULE, way="with --as")
    return name


def with_newcomer(before: Serving, name: str, placement: Placement) -> Traffic:
    """Return the traffic when a deployment comes beside those there; the first becomes the default one.

    Raises TrafficInvalid.
    """
    traffic = before.traffic if before.deployments else Traffic(sticky_header=before.traffic.sticky_header)
    shift = Shift(
        shares={name: placement.share} if placement.share is not None else {},
        shadows={name: placement.shadow} if placement.shadow else {},
        default=traffic.default or name,
        control=name if placement.is_control else None,
    )
    return shifted(traffic, shift, names=[*before.names, name])


def with_only(before: Serving, name: str, placement: Placement) -> Traffic:
    """Return the traffic when a deployment takes all of it."""
    control = name if placement.is_control else ""
    return Traffic(default=name, control=control, sticky_header=before.traffic.sticky_header)


def shifted(traffic: Traffic, shift: Shift, *, names: Collection[str]) -> Traffic:
    """Return the traffic changed like that, among deployments of these names.

    A deployment that is given a share is no shadow any more, and a shadow has no share. Raises TrafficInvalid.
    """
    unknown = (shift.shares.keys() | shift.shadows.keys() | _named(shift)) - set(names)
    if unknown:
        there = f"there are {', '.join(names)}" if names else "nothing serves there"
        raise TrafficInvalid(reason=f'no deployment is called "{min(unknown)}"', rule=there)
    if len(set(names)) > MAX_DEPLOYMENTS:
        raise TrafficInvalid(
            reason="there would be a seventh deployment", rule=f"an endpoint has at most {MAX_DEPLOYMENTS}"
        )
    shares = {name: each for name, each in traffic.shares.items() if name not in shift.shadows} | dict(shift.shares)
    shadows = {name: each for name, each in traffic.shadows.items() if not shift.shares.get(name)}
    changed = replace(
        traffic,
        shares=shares,
        shadows=shadows | dict(shift.shadows),
        default=traffic.default if shift.default is None else shift.default,
        control=traffic.control if shift.control is None else shift.control,
        sticky_header=traffic.sticky_header if shift.sticky_header is None else shift.sticky_header.lower(),
    ).check()
    kept = {name: share for name, share in changed.shares.items() if share}
    return replace(changed, shares=kept, shadows={name: share for name, share in changed.shadows.items() if share})


def renamed(traffic: Traffic, before: str, after: str) -> Traffic:
    """Return the same traffic for a deployment that is called otherwise from now on."""

    def name(each: str) -> str:
        return after if each == before else each

    return replace(
        traffic,
        shares={name(each): share for each, share in traffic.shares.items()},
        shadows={name(each): share for each, share in traffic.shadows.items()},
        default=name(traffic.default),
        control=name(traffic.control),
    )


def of_serving(serving: Serving, name: str, *, endpoint: str) -> None:
    """Raise DeploymentMissing unless a deployment of that name serves."""
    if name not in serving.names:
        raise DeploymentMissing(endpoint=endpoint, version=name)


def _named(shift: Shift) -> set[str]:
    return {each for each in (shift.default, shift.control) if each}
