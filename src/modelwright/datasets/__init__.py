"""Owns dataset versions: what they are made from, that their bytes stay the same, and what their columns are like.

Takes named data as files, queries or tables; gives the version that their content has, the same one for the same
bytes, its bytes only while they are those registered, and its profile.
"""
