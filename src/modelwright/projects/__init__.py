"""Owns the project folder: its manifest, and how a conversion lays it out.

Takes the plan of a notebook and what its run showed; gives a folder that tests, runs and serves by itself.
"""
