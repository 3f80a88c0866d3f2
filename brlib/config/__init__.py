"""The configuration: a table of options, the file that sets them, and their change at run time."""

from .clashes import processing_clash
from .configuration import Configuration, Listener
from .file import find_file, load
from .settings import OPTIONS, RECORDINGS_MAX, SECTIONS, Settings, anchored, example
from .usable import among_data, unusable

__all__ = [
    "OPTIONS", "RECORDINGS_MAX", "SECTIONS", "Configuration", "Listener", "Settings", "among_data",
    "anchored", "example", "find_file", "load", "processing_clash", "unusable",
]
