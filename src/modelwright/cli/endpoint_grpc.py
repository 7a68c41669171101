"""`wright endpoint grpc`: the Open Inference Protocol over gRPC, beside an endpoint."""

import click

from modelwright.cli import output


@click.command("grpc")
@click.argument("name")
@click.option("--port", type=click.IntRange(1, 65535), help="Where it listens; by default a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="On which address.")
@output.json_option
def grpc_(name: str, *, port: int | None, host: str, as_json: bool) -> None:
    """Answer the Open Inference Protocol over gRPC until Ctrl-C, by passing requests on to the endpoint.

    Keys go along as the call's metadata `authorization`. Needs modelwright[grpc].
    """
    from modelwright.errors import EndpointNotRunning
    from modelwright.serving import deployments
    from modelwright.serving.gateway.serving import Gateway
    from modelwright.store import endpoints

    with output.opened_store() as store:
        place = endpoints.get_endpoint(store, name)
        if place.url is None or deployments.status(store, name) is None:
            raise EndpointNotRunning(endpoint=name)
    gateway = Gateway(place.url, host=host, port=port or 0)
    gateway.start()
    told = f"{host}:{gateway.port}"
    if as_json:
        output.show_json({"endpoint": name, "address": told})
    else:
        click.echo(f"{name} answers gRPC at {told}; Ctrl-C ends it", err=True)
    try:
        gateway.wait()
    finally:
        gateway.stop()


COMMANDS = (grpc_,)
