"""Owns dataset versions.

Takes named data as files; gives the version that their content has, the same one for the same bytes.
"""
