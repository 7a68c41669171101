"""How the requests of an endpoint are shared out among its deployments."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from modelwright.errors import TrafficInvalid

MAX_DEPLOYMENTS = 6
WHOLE = 100.0
# Of sums: 33.3, 33.4 and 33.3 are 100, whatever is last in a float.
_DIGITS = 9


@dataclass(frozen=True)
class Traffic:
    """Percentages per deployment; what they leave of 100 goes to `default`.

    One deployment is the `control` that others are compared with. Copies of requests go to `shadows`, in percent of all
    of them; their answers are recorded and never given. With `sticky_header`, requests with the same value of that
    header go to the same deployment. Numbers in a shadow's answer agree with those given within `tolerance` of them.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    default: str = ""
    control: str = ""
    shadows: Mapping[str, float] = field(default_factory=dict)
    sticky_header: str = ""
    tolerance: float = 0.0

    def split(self) -> dict[str, float]:
        """Return the percentages that requests are really shared out by: they sum to 100 unless there is nobody."""
        given = {name: float(share) for name, share in self.shares.items()}
        if self.default:
            left = round(WHOLE - sum(given.values()), _DIGITS)
            given[self.default] = given.get(self.default, 0.0) + max(0.0, left)
        return given

    def among(self, names: Collection[str]) -> "Traffic":
        """Return what is left of it when only deployments of these names are there.

        What others had goes to the default one; when that is not there, the one with the greatest share becomes it.
        """
        default = self.default if self.default in names else self._heir(names)
        return replace(
            self,
            shares={name: share for name, share in self.shares.items() if name in names and share},
            default=default,
            control=self.control if self.control in names else "",
            shadows={name: share for name, share in self.shadows.items() if name in names and name != default},
        )

    def _heir(self, names: Collection[str]) -> str:
        able = [name for name in names if name not in self.shadows] or list(names)
        return max(able, key=lambda name: self.shares.get(name, 0.0), default="")

    def check(self) -> "Traffic":
        """Return this. Raises TrafficInvalid for percentages that cannot be."""
        for name, share in (*self.shares.items(), *self.shadows.items()):
            if not 0 <= share <= WHOLE:
                raise TrafficInvalid(reason=f'"{name}" cannot have {share:g} %', rule="a share is from 0 to 100")
        total = round(sum(self.shares.values()), _DIGITS)
        if total > WHOLE:
            raise TrafficInvalid(reason=f"the shares sum to {total:g} %", rule="together they are at most 100")
        if len(self.shares.keys() | self.shadows.keys() | ({self.default} - {""})) > MAX_DEPLOYMENTS:
            raise TrafficInvalid(
                reason="there would be a seventh deployment", rule=f"an endpoint has at most {MAX_DEPLOYMENTS}"
            )
        both = self.shadows.keys() & {name for name, share in self.split().items() if share}
        if both:
            raise TrafficInvalid(
                reason=f'"{min(both)}" would answer and be a shadow', rule="a shadow's answers are never given"
            )
        return self
