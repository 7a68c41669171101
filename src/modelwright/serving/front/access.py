"""Who may ask: keys and tokens of an endpoint, compared by their digests in constant time.

A key comes as `Authorization: Bearer KEY`, or as `x-api-key: KEY` where a gateway needs the other header for itself.
Missing, wrong and expired ones get the same answer.
"""

import hashlib
import hmac
import math
import time
from collections.abc import Mapping

from modelwright.records import Access
from modelwright.serving.front.messages import Answer, error_answer

_SCHEME = "bearer "
_NEVER = math.inf
# Headers that carry a key: scripts, which log what they get, are not given them.
KEY_HEADERS = ("Authorization", "X-Api-Key")


def key_in(headers: Mapping[str, str]) -> str:
    """Return the key that a request comes with; one that has none comes with the empty one."""
    given = headers.get("x-api-key")
    if given is not None:
        return given
    given = headers.get("authorization", "")
    return given[len(_SCHEME) :].strip() if given[: len(_SCHEME)].lower() == _SCHEME else ""


class Guard:
    """Refuses requests without a good key, when keys are required."""

    def __init__(self, access: Access) -> None:
        """Let in who has one of the keys of `access`."""
        self.refused = 0
        self._passes: dict[bytes, float] = {}
        self.configure(access)

    def configure(self, access: Access) -> None:
        """Let in who has one of these keys, and nobody else."""
        self.is_required = access.is_required
        self._keys = [
            (each.digest.encode(), each.expires_at.timestamp() if each.expires_at else _NEVER) for each in access.keys
        ]
        # What was found good, and until when. Looking it up tells a stranger nothing: Python's hashes of text are keyed
        # by a secret of this process, and only what has the same hash is compared.
        self._known: dict[str, float] = {}

    def admit(self, digest: str, *, seconds: float) -> None:
        """Let in who has the key of that digest for so long: a request of our own, for which no key is on record."""
        moment = time.time()
        self._passes = {known: until for known, until in self._passes.items() if until > moment}
        self._passes[digest.encode()] = moment + seconds

    def good_until(self, key: str) -> float:
        """Return until when who comes with this key may pass, in seconds since the epoch; 0 for a stranger."""
        if not self.is_required:
            return _NEVER
        until = self._known.get(key)
        return self._found(key) if until is None else until

    def refusal(self, key: str) -> Answer | None:
        """Return the answer that turns away who comes with this key; None when they may pass."""
        if not self.is_required:
            return None
        until = self.good_until(key)
        if until == _NEVER or time.time() < until:
            return None
        self.refused += 1
        return error_answer(401, "A valid key is needed: Authorization: Bearer KEY.", ("www-authenticate", "Bearer"))

    def _found(self, key: str) -> float:
        """Return until when a key is good, by comparing it with all."""
        digest = hashlib.sha256(key.encode()).hexdigest().encode()
        good_until = 0.0
        for known, until in (*self._keys, *self._passes.items()):
            # Every key is compared, whichever fits: how long this takes tells nothing.
            if hmac.compare_digest(digest, known):
                good_until = max(good_until, until)
        if good_until:
            self._known[key] = good_until
        return good_until
