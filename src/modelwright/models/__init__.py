"""Owns model packages, the registry, its exchange between workspaces; the gate and explanations in rooms of their own.

Takes a finished or running run, or files from anywhere; gives a verdict, a package with its signature, and a numbered
version.
"""
