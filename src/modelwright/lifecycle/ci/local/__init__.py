"""Runs the workflow files of CI systems on this machine: the part of their languages that our files use, and no other.

Takes a file and a commit; gives what every job came to. What it does not know it refuses, and never leaves out.
"""
