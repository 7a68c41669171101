"""Owns the workspace's database and blobs; the only room that opens either.

Takes records, through one door for writes (`changes`); gives records, through one query file per noun.
"""
