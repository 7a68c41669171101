"""Who may ask: keys and tokens of an endpoint, compared by their digests in constant time."""

import hashlib
import hmac
import time

from modelwright.records import Access
from modelwright.serving.front.connections import Answer, Request, error_answer

_BEARER = "Bearer "


class Guard:
    """Refuses requests without a good key, when keys are required."""

    def __init__(self, access: Access) -> None:
        """Let in who has one of the keys of `access`."""
        self._is_required = access.is_required
        self._keys = [
            (each.digest.encode(), each.expires_at.timestamp() if each.expires_at else None) for each in access.keys
        ]

    def refusal(self, request: Request) -> Answer | None:
        """Return the answer that turns the request away; None when it may pass."""
        if not self._is_required:
            return None
        given = request.headers.get("authorization", "")
        if given.startswith(_BEARER) and self._is_good(given[len(_BEARER) :].strip()):
            return None
        return error_answer(401, "A valid key is needed: Authorization: Bearer KEY.", ("www-authenticate", "Bearer"))

    def _is_good(self, key: str) -> bool:
        digest = hashlib.sha256(key.encode()).hexdigest().encode()
        moment = time.time()
        is_good = False
        for known, expires_at in self._keys:
            # Every key is compared, whichever fits: how long this takes tells nothing.
            is_good |= hmac.compare_digest(digest, known) and (expires_at is None or moment < expires_at)
        return is_good
