"""Whether a model version is arrays that the front of an endpoint evaluates itself, and what proved that."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FusedVerdict:
    """What came of comparing a model's arrays with the model.

    So many `rows`, in so many `requests`, had the same answer byte for byte; `left` requests are for the model itself.
    The `reason` says why a model is not fused.
    """

    is_fused: bool
    reason: str = ""
    model: str = ""
    rows: int = 0
    requests: int = 0
    left: int = 0
