"""`/confirmations/NAME/CODE`: an address for a person, who confirms by it that a webhook wants events.

It takes no token, for whoever reads what the webhook was sent has none: the code is one.
"""

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

from modelwright import records
from modelwright.lifecycle.events import confirming


def add(app: FastAPI) -> None:
    """Let the application answer the address; it is none of the routes that programs ask."""
    app.add_api_route(f"{confirming.PATH}/{{name}}/{{code}}", _confirm, include_in_schema=False)


def _confirm(name: str, code: str, request: Request) -> PlainTextResponse:
    found = confirming.confirm(request.app.state.store, name, code, now=records.now())
    return PlainTextResponse(f'"{found.name}" is told of events from now on\n')
