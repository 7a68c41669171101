"""The gate: a new model and the champion on the same rows, and what the difference is worth.

Takes an execution whose steps have run and the project's rules; gives a verdict with its numbers, or cancels the run.
What measures, from `judging` on, is a guest of the project's own environment.
"""
