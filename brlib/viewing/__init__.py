"""Viewing: a recording as HLS, while it is made and afterwards, at the same address."""

from .base import Media
from .viewing import Viewing

__all__ = ["Media", "Viewing"]
