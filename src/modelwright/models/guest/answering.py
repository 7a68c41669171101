"""Answers every request of a version, in the dialect that it came in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Union
from urllib.parse import parse_qs

from . import bodies, columns, openapi, openinference, tables
from .codes import Outcome, Route
from .logs import current, end_request, log_failure
from .messages import Call, Reply
from .models import Model, wants_probabilities
from .refusals import NotSerializable, Refused
from .results import encode, encode_strictly, plain
from .scripts import Script, predictions_of
from .wordings import FAILED, INTERNAL, error_body

_OVERRIDE = "swagger.json"
_PACKED = b'"Content-Encoding"'


class Answering:
    """A version as its clients see it: a scoring script, or a model by itself, under its name and number."""

    def __init__(self, served: Union[Script, Model], *, reference: str, package: Path) -> None:
        """Answer for the version that `reference` names, whose package is that folder."""
        self._served = served
        self._name, _, self._version = reference.rpartition(":")
        self._package = package
        ways = {
            Route.SCORE: served.score,
            Route.INVOCATIONS: self._invocations,
            Route.INFER: self._infer,
            Route.MODEL: self._model,
            Route.MODEL_READY: self._model_ready,
            Route.SERVER: self._server,
            Route.SWAGGER: self._swagger,
        }
        # By plain numbers, as they come: an enumeration is found by its name, in many times the time.
        self._ways = {int(route): way for route, way in ways.items()}

    @property
    def is_together(self) -> bool:
        """Whether requests that are there already are answered at once."""
        return isinstance(self._served, Model)

    @property
    def takes_head(self) -> bool:
        """Whether the front has to tell the head of every request."""
        return self._served.takes_head

    def answer(self, call: Call) -> Reply:
        """Return the answer to a request; whatever goes wrong is in the log, and told in the words of its dialect."""
        if call.deadline and call.is_late:
            return Reply(b"", outcome=Outcome.LATE)
        current.request_id = call.id
        started = perf_counter_ns()
        try:
            # A script that speaks HTTP itself gets what was sent.
            if call.head and _PACKED in call.head and not (self._served.is_raw and call.route == Route.SCORE):
                call = bodies.unpacked(call)
            reply = self._ways[call.route](call)
        except Refused as refused:
            reply = Reply(error_body(call.route, refused.status, refused.text), status=refused.status)
        except NotSerializable:
            log_failure()
            reply = _gone_wrong(call, Outcome.UNSERIALIZABLE, INTERNAL)
        except BaseException:  # noqa: BLE001 - sys.exit() and the like too fail this request, not the worker
            log_failure()
            reply = _gone_wrong(call, Outcome.RAISED, FAILED)
        finally:
            micros = (perf_counter_ns() - started) // 1000
            end_request()
        return Reply(reply[0], reply[1], reply[2], reply[3], reply[4], micros)

    def answer_together(self, calls: Sequence[Call]) -> Iterator[Reply]:
        """Give the answers to requests in their order, each when it is there; some can be predicted at once."""
        if len(calls) > 1 and isinstance(self._served, Model):
            for call, reply in self._served.score_together(calls):
                yield reply or self.answer(call)
        else:
            yield from map(self.answer, calls)

    def _invocations(self, call: Call) -> Reply:
        told = call.told()
        kind = bodies.kind_of(told.headers.get("Content-Type", ""))
        table, beside = bodies.decode(kind, call.body, has_names=True)
        wanted = wants_probabilities(told.query, beside)
        return Reply(_serialized({"predictions": plain(self._predict(table, call, with_probabilities=wanted))}))

    def _infer(self, call: Call) -> Reply:
        told = call.told()
        openinference.check_address(told.path, name=self._name, version=self._version)
        table, request = openinference.table_of(told.headers, call.body)
        wanted = openinference.asks_for(request)
        found = {
            each: self._predict(table, call, with_probabilities=each == openinference.PROBABILITIES) for each in wanted
        }
        try:
            return openinference.reply(request, found, name=self._name, version=self._version)
        except (TypeError, ValueError) as error:
            raise NotSerializable from error

    def _predict(self, table: tables.Table, call: Call, *, with_probabilities: bool) -> Any:
        if isinstance(self._served, Model):
            return self._served.predict(table, with_probabilities=with_probabilities)
        if with_probabilities:
            raise Refused(HTTPStatus.BAD_REQUEST, "A scoring script gives its result and no probabilities")
        return predictions_of(self._served.predict(table, call))

    def _model(self, call: Call) -> Reply:
        openinference.check_address(call.told().path, name=self._name, version=self._version)
        served = self._served
        if isinstance(served, Model):
            inputs = openinference.inputs_of_columns(served.columns)
            outputs, platform = openinference.outputs_of(served.classes), served.framework
        else:
            inputs = openinference.inputs_of_schema(served.input_schema)
            outputs, platform = openinference.outputs_of(None), "python"
        told = {"name": self._name, "versions": [self._version], "platform": platform}
        return Reply(encode({**told, "inputs": inputs, "outputs": outputs}))

    def _model_ready(self, call: Call) -> Reply:
        openinference.check_address(call.told().path, name=self._name, version=self._version)
        return Reply(encode({"name": self._name, "ready": True}))

    def _server(self, _call: Call) -> Reply:
        return Reply(encode({"name": "modelwright", "version": "2", "extensions": ["binary_tensor_data"]}))

    def _swagger(self, call: Call) -> Reply:
        told = call.told()
        version = parse_qs(told.query).get("version", ["2"])[-1].removesuffix(".0")
        if version not in openapi.VERSIONS:
            supported = ", ".join(openapi.VERSIONS)
            text = f"Swagger version [{version}] is not valid. Supported versions: [{supported}]."
            raise Refused(HTTPStatus.NOT_FOUND, text)
        own = self._package / _OVERRIDE
        if own.is_file():
            return Reply(own.read_bytes())
        prefix = openapi.prefix_of(told.path, told.headers.get("X-Forwarded-Prefix"))
        return Reply(json.dumps(openapi.document(self._described(), version=version, prefix=prefix)).encode())

    def _described(self) -> openapi.Described:
        served = self._served
        if isinstance(served, Model):
            schemas = openapi.of_columns(served.columns, served.sample, served.signature)
        elif served.input_schema is not None:
            schemas = served.input_schema, served.output_schema or {}
        else:
            schemas = openapi.of_signature(columns.described(self._package), columns.sample(self._package))
        return openapi.Described(self._name, self._version, *schemas)


def _gone_wrong(call: Call, outcome: Outcome, text: str) -> Reply:
    """Return the answer to what went wrong here: to `/score` the front has the words."""
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return Reply(
        b"" if call.route == Route.SCORE else error_body(call.route, status, text), status=status, outcome=outcome
    )


def _serialized(result: Any) -> bytes:
    try:
        return encode_strictly(result)
    except Exception as error:
        raise NotSerializable from error
