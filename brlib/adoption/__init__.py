"""What the store does not know of: captures without a row, finished files without one."""

from .adoption import Adoption, Hands
from .captures import has_captures

__all__ = ["Adoption", "Hands", "has_captures"]
