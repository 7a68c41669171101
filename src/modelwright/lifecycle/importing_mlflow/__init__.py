"""Owns the way of what MLflow recorded into a workspace: read without MLflow, written whole, counted.

Takes a folder, a database or a server of MLflow's; gives runs, models and files of ours under the ids that they had.
"""
