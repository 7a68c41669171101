"""Listens for gRPC and passes what comes on to an endpoint."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from modelwright.errors import ModuleNotInstalled, NoFreePort
from modelwright.serving.gateway.passing import Passing, Refused
from modelwright.serving.gateway.protocol import METHODS, SERVICE, messages

# Requests that wait for the endpoint each hold a thread.
_THREADS = 64
_LONGEST_BYTES = 100 * 1024 * 1024
# After its grace, what the server may take to let go of connections that are open.
_END_SECONDS = 5.0
# Metadata of a call that is the endpoint's to know, by the names of its headers.
_PASSED_ON = ("authorization", "x-api-key", "x-request-id", "traceparent", "tracestate", "x-modelwright-deployment")


class Gateway:
    """A server of gRPC beside an endpoint."""

    def __init__(self, url: str, *, host: str, port: int) -> None:
        """Listen for the endpoint at `url`; port 0 is a free one. Raises ModuleNotInstalled and NoFreePort."""
        grpc = _grpc()
        self._passing = passing = Passing(url)
        options = [
            ("grpc.max_receive_message_length", _LONGEST_BYTES),
            ("grpc.max_send_message_length", _LONGEST_BYTES),
        ]
        self._server = grpc.server(ThreadPoolExecutor(_THREADS), options=[*options, ("grpc.so_reuseport", 0)])
        handlers = {method: _handler(grpc, method, passing) for method in METHODS}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        place = f"[{host}]" if ":" in host else host
        try:
            self.port: int = self._server.add_insecure_port(f"{place}:{port}")
        except RuntimeError as error:
            raise NoFreePort(port=port, host=host, reason="another process listens on it") from error

    def start(self) -> None:
        """Take requests from now on."""
        self._server.start()

    def wait(self) -> None:
        """Return when somebody stops it."""
        self._server.wait_for_termination()

    def stop(self, *, grace_seconds: float = 5.0) -> None:
        """Take no more requests, and let those that are there be answered."""
        self._server.stop(grace_seconds).wait(grace_seconds + _END_SECONDS)
        self._passing.close()


def _handler(grpc: Any, method: str, passing: Passing) -> Any:
    request, response = messages()[f"{method}Request"], messages()[f"{method}Response"]
    return grpc.unary_unary_rpc_method_handler(
        _answering(grpc, method, passing),
        request_deserializer=request.FromString,
        response_serializer=response.SerializeToString,
    )


def _answering(grpc: Any, method: str, passing: Passing) -> Callable[[Any, Any], Any]:
    code = grpc.StatusCode
    codes = {
        400: code.INVALID_ARGUMENT,
        401: code.UNAUTHENTICATED,
        403: code.PERMISSION_DENIED,
        404: code.NOT_FOUND,
        413: code.RESOURCE_EXHAUSTED,
        415: code.INVALID_ARGUMENT,
        429: code.RESOURCE_EXHAUSTED,
        503: code.UNAVAILABLE,
        504: code.DEADLINE_EXCEEDED,
    }

    def answer(request: Any, context: Any) -> Any:
        headers = {name: value for name, value in context.invocation_metadata() if name in _PASSED_ON}
        try:
            return passing.answer(method, request, headers)
        except Refused as refused:
            return context.abort(codes.get(refused.status, code.INTERNAL), refused.text)

    return answer


def _grpc() -> Any:
    try:
        import google.protobuf.message  # what messages are made with comes in a package of its own
        import grpc
    except ModuleNotFoundError as error:
        module = error.name or "grpc"
        raise ModuleNotInstalled(module=module, python=sys.executable, distribution="'modelwright[grpc]'") from error
    del google
    return grpc
