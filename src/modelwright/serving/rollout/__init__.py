"""Decides how a new version takes over an endpoint: plans, their checks, and verdicts between versions."""
