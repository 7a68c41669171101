"""Pages of answers: the token of the next one says from which number on it goes."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import orjson

from modelwright.api.mlflow.calls import LARGEST_WHOLE, Call
from modelwright.errors import ValueRefused


def offset(call: Call) -> int:
    """Return from which number on the answer is to go. Raises ValueRefused for a token that we did not give."""
    token = call.optional("page_token")
    if not token:
        return 0
    try:
        found = orjson.loads(base64.b64decode(token, validate=True))["offset"]
    except (binascii.Error, ValueError, TypeError, KeyError):
        found = None
    if type(found) is not int or not 0 <= found <= LARGEST_WHOLE:
        raise ValueRefused(name="page_token", rule="it is one that an answer of this server gave")
    return found


def next_page(found: Sequence[Any], start: int, limit: int) -> dict[str, str]:
    """Return the token of the next page, when one more than `limit` was found from `start` on."""
    if len(found) <= limit:
        return {}
    return {"next_page_token": base64.b64encode(orjson.dumps({"offset": start + limit})).decode()}
