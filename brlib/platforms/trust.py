"""The authorities that certificates are checked by, read once for all connections.

urllib3 would make a TLS context for every connection and read the whole bundle into it: 16 ms
of a fast core and 0.7 MiB for as long as the connection is open. Used by `heads`.
"""

from __future__ import annotations

import os
import ssl
import threading
from dataclasses import dataclass

from requests.adapters import DEFAULT_CA_BUNDLE_PATH
from urllib3.util.ssl_ import create_urllib3_context


@dataclass(frozen=True)
class _Bundle:
    """A file with authorities, as it was when it was read."""

    path: str
    changed_ns: int
    size_bytes: int


_lock = threading.Lock()
_contexts: dict[str, tuple[_Bundle, ssl.SSLContext]] = {}


def trusting(verify: bool | str | None) -> ssl.SSLContext | None:
    """The context for what requests calls `verify`: a file, or True for the bundle that it
    brings along. None where that is no file, or nothing is to be checked.

    A file that has changed is read again; who is connected by then goes on. Raises OSError for
    one that is no bundle.
    """
    path = DEFAULT_CA_BUNDLE_PATH if verify is True else verify
    if not path or not os.path.isfile(path):
        return None
    state = os.stat(path)
    bundle = _Bundle(path, state.st_mtime_ns, state.st_size)
    with _lock:
        known = _contexts.get(path)
        if known is None or known[0] != bundle:
            context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
            context.load_verify_locations(cafile=path)
            known = _contexts[path] = bundle, context
        return known[1]
