"""Whether a DASH manifest is of something live, and its newest segment.

Used by `url` and by what looks at a site's streams. A dead encoder leaves its manifest standing
as if it were live: one that lists its segments is told by its edge, one that counts them by
asking for a segment that must be there.
"""

from __future__ import annotations

from typing import Any

from streamlink.session.session import Streamlink
from streamlink.stream.dash.manifest import MPD

from .. import manifest
from ..models import Broadcast, utc_now
from .bare import GONE, answer_of


def live_manifest(session: Streamlink, mpd: MPD, **options: Any) -> Broadcast | None:
    """None when it has an end, or when what it counts is not there. `options` are a request's.

    Raises PlatformError.
    """
    if mpd.type != "dynamic":
        return None
    address = manifest.due(mpd, utc_now())
    if address is not None:
        with answer_of(session, address, **options) as answer:
            if answer.status_code in GONE:
                return None
    return Broadcast(edge=manifest.edge(mpd))
