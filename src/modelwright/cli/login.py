"""`wright login`, `wright logout`."""

import sys

import click

from modelwright.cli import output


@click.command()
@click.argument("url")
@output.json_option
def login(url: str, *, as_json: bool) -> None:
    """Keep the token for the workspace at URL on this machine, for you alone: asked for, or read from stdin."""
    from modelwright import settings
    from modelwright.cli.remote import calling, logins

    place = settings.workspace_url(url)
    if place is None:
        raise click.BadParameter(f'"{url}" is no URL such as http://HOST:PORT', param_hint="URL")  # noqa: TRY003, EM102 - click's way
    given = click.prompt("token", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
    token = given.strip()
    if not token:
        raise click.UsageError("there is no token on standard input")  # noqa: TRY003, EM101 - click's way
    who = calling.holder(place, token)
    kept = logins.keep(place, token)
    if as_json:
        output.show_json({"url": place, **who})
    else:
        click.echo(f'you are "{who["name"]}" there, {who["role"]}; the token is kept in {kept}')


@click.command()
@click.argument("url")
@output.json_option
def logout(url: str, *, as_json: bool) -> None:
    """Forget the token for the workspace at URL that was kept on this machine. It still counts until it is revoked."""
    from modelwright.cli.remote import logins

    had = logins.forget(url)
    if as_json:
        output.show_json({"forgotten": had})
    else:
        click.echo("the token is forgotten" if had else "there was none")
