"""Owns model packages, the registry, its exchange between workspaces, and the gate.

Takes a finished or running run, or files from anywhere; gives a verdict, a package with its signature, and a numbered
version.
"""
