"""Channel images: uploaded, fetched from platforms, converted, kept."""

from .base import Image, ImageKind
from .images import Images

__all__ = ["Image", "ImageKind", "Images"]
