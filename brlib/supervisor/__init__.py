"""The check loop: whose turn it is, who is live, and what follows from that."""

from .base import UPCOMING, CheckPool, Clocks, Commands
from .supervisor import Supervisor

__all__ = ["UPCOMING", "CheckPool", "Clocks", "Commands", "Supervisor"]
