"""Where images lie: `<data>/images/<channel id>/<kind>.<custom or platform>.jpg`.

Work on the way there is done in `<data>/images/work`, on the same file system, so that
a finished image comes by a rename. Used by `images` alone.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from ..disk import sync
from ..errors import Unavailable
from .base import Image, ImageKind

log = logging.getLogger(__name__)

# Ids come from addresses: what is none never becomes a path.
_CHANNEL_ID = re.compile(r"ch_[a-z0-9]{12}")


class ImageFiles:
    """`root` says where the images are each time it is asked."""

    def __init__(self, root: Callable[[], Path]) -> None:
        self._root = root
        # Between a channel's being there and its file's being there nothing may happen.
        self._lock = threading.Lock()

    @property
    def _work(self) -> Path:
        return self._root() / "work"

    def clear_work(self) -> None:
        """Remove what a crash left. Raises OSError."""
        if self._work.exists():
            shutil.rmtree(self._work)

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """An empty directory that is gone afterwards, whatever happens. OSErrors of what is
        done in it become Unavailable."""
        try:
            self._work.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self._work) as place:
                yield Path(place)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise Unavailable(f"The image cannot be stored: {reason}") from error

    def find(self, channel_id: str, kind: ImageKind) -> Image | None:
        """The custom image, else the platform's, else None."""
        for custom in (True, False):
            path = self._path(channel_id, kind, custom)
            if path is None:
                return None
            try:
                return _image(path, custom)
            except FileNotFoundError:
                continue
        return None

    def keep(
        self, source: Path, channel_id: str, kind: ImageKind, *, custom: bool,
        still_wanted: Callable[[], object],
    ) -> None:
        """Make `source` a channel's image, durably and at once. `still_wanted` raises when
        the channel is gone: `forget`, called afterwards, finds all that was kept. Raises
        OSError."""
        path = self._path(channel_id, kind, custom)
        assert path is not None, "the caller knows the channel"
        sync(source)
        with self._lock:
            still_wanted()
            path.parent.mkdir(exist_ok=True)
            os.replace(source, path)
            sync(path.parent)
            sync(path.parent.parent)

    def remove(self, channel_id: str, kind: ImageKind, *, custom: bool) -> bool:
        """Whether there was such an image. Raises OSError."""
        path = self._path(channel_id, kind, custom)
        with self._lock:
            if path is None or not path.exists():
                return False
            path.unlink()
            sync(path.parent)
        return True

    def forget(self, channel_id: str) -> None:
        """Remove all images of a channel that is not known any more."""
        folder = self._folder(channel_id)
        with self._lock:
            if folder is None or not folder.exists():
                return
            try:
                shutil.rmtree(folder)
            except OSError as error:
                log.warning("The images of %s could not be removed: %s", channel_id, error)

    def _folder(self, channel_id: str) -> Path | None:
        return self._root() / channel_id if _CHANNEL_ID.fullmatch(channel_id) else None

    def _path(self, channel_id: str, kind: ImageKind, custom: bool) -> Path | None:
        folder = self._folder(channel_id)
        return folder and folder / f"{kind}.{'custom' if custom else 'platform'}.jpg"


def _image(path: Path, custom: bool) -> Image:
    status = os.stat(path)
    # Every image comes by a rename: a new one is another file, even within one tick.
    identity = f"{status.st_ino} {status.st_mtime_ns} {status.st_size}"
    return Image(
        path=path,
        etag=hashlib.blake2s(identity.encode(), digest_size=10).hexdigest(),
        modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
        size_bytes=status.st_size,
        custom=custom,
    )
