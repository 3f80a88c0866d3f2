"""Battles Record: records live streams completely, and can prove it."""

__version__ = "0.1.0"
