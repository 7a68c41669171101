"""What runs inside a model version's own environment: standard library only, and whatever that environment has.

The front starts `worker.py` by its path; it makes this folder importable there as the package `modelwright_guest`.
"""
