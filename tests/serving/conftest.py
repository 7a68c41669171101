"""Real endpoints for these tests."""

from serving.endpoints import make_served, served

__all__ = ["make_served", "served"]
