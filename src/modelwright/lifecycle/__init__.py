"""Owns the ways through all rooms: training with a gate, shipping a notebook, recovery, diagnosis.

Takes what a user wants done; calls the rooms below in order; reports each stage and leaves nothing half done.
"""
