"""Classifies garments from a picture."""

__version__ = "0.1.0"
