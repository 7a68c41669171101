"""Notebooks: what they do, and the project that does the same.

Takes the files of notebooks and a Python to run them in; gives a plan with its findings, a project's files, and the
recorded comparison of both sides' runs. Pure analysis but for `execution` and `proof`, which run things in folders.
"""
