"""Modelwright: from a notebook to a model in production, with proof at every step."""

__all__ = ["__version__"]

__version__ = "0.1.0"
