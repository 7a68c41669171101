"""Owns pipelines and their execution.

Takes a project folder, parameters and a built environment; gives a recorded run: steps, metrics, artifacts, snapshot.
"""
