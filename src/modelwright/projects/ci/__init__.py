"""The automation of a project: its file `ci.toml`, and the workflow files of CI systems.

Takes a project and gives files to write; what they do is in `lifecycle.ci`.
"""
