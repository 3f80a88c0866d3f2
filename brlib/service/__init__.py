"""The engine put together: everything built, wired, started and stopped in one place."""

from .base import DataLock
from .service import Service
from .watchlist import import_rows, new_channel

__all__ = ["DataLock", "Service", "import_rows", "new_channel"]
