"""Owns the REST surface that MLflow's own clients speak, on the workspace's tables.

Takes their requests with a token of ours; calls one function of a room for each; gives JSON in MLflow's shape.
"""
