"""The front: the process that owns an endpoint's port, its traffic and the processes of its model versions.

`connections` reads HTTP, `contract` says what is answered, `routing` which version answers, `versions` runs their
processes and `server` puts all of it together and takes commands.
"""
