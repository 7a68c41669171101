"""Explanations: how much each column adds to what a version answers, and whether that adds up.

Takes a version, rows and a wish; gives importances and single rows' values, or a page of them. What computes, from
`attributing` on, is a guest of the version's own environment.
"""
