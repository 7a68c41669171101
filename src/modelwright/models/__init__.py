"""Owns model packages, the registry, its exchange between workspaces.

The gate, explanations, and the guest that scores in a version's environment are rooms of their own.

Takes a finished or running run, or files from anywhere; gives a verdict, a package with its signature, and a numbered
version.
"""
