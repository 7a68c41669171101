"""What automation does with a project: its stages, the watcher of one machine, and the runner of workflow files.

Takes a project with a `ci.toml` and the events of the workspace; gives versions by build, and releases.
"""
