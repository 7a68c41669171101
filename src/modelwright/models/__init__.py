"""Owns model packages, the registry and the gate.

Takes a finished or running run; gives a verdict, a package with its signature, and a numbered version.
"""
