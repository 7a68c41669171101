"""`wright endpoint top`."""

COMMANDS = ()
