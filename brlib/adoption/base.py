"""What the parts of adoption share."""

from __future__ import annotations

import sqlite3

# What the store cannot take of something that was found, however often it is tried.
SENSELESS = (sqlite3.IntegrityError, ValueError, OverflowError)
