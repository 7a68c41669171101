"""A group of commands of which one is meant when none is named."""

import click


class DefaultGroup(click.Group):
    """A group that takes anything which is not one of its commands as arguments of `start`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `start` before arguments that name no command."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["start", *args]
        return super().parse_args(ctx, args)
