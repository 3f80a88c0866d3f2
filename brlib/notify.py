"""What systemd is told: sd_notify(3) in the standard library. Nothing where nobody listens.

Made by the server in gunicorn's master, used by the engine in its worker: messages of a child
are taken because the unit says `NotifyAccess=all`.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import MutableMapping

log = logging.getLogger(__name__)

# systemd reads without delay; whoever calls may be a signal handler.
SEND_MAX_S = 1.0
# How long one phase of the start may take before systemd gives it up.
PHASE_MAX_S = 600


class Notifier:
    """`address` as in `$NOTIFY_SOCKET` (None: nobody wants to know), `watchdog_s` how long
    systemd waits for a sign of life."""

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s
        self._address = address
        self._failed = False
        # It did not get through, and a start that systemd never hears of is given up.
        self._owes_ready = False

    @classmethod
    def of(cls, environ: MutableMapping[str, str], pid: int | None = None) -> Notifier:
        """Take systemd's variables out of the environment: gunicorn would say READY before
        the engine runs, and no child is to speak for us.

        `pid` is the process that systemd started: `WATCHDOG_PID` names that one.
        """
        address = environ.pop("NOTIFY_SOCKET", None)
        period = environ.pop("WATCHDOG_USEC", None)
        wanted = environ.pop("WATCHDOG_PID", None)
        watchdog_s = None
        if period is not None and period.isdecimal() and int(period) > 0:
            if wanted in (None, str(os.getpid() if pid is None else pid)):
                watchdog_s = int(period) / 1_000_000
        return cls(address, watchdog_s)

    def starting(self, phase: str) -> None:
        """The start is at this; it gets `PHASE_MAX_S` for it."""
        self.send("WATCHDOG=1", f"STATUS=Starting: {phase}",
                  f"EXTEND_TIMEOUT_USEC={PHASE_MAX_S * 1_000_000}")

    def ready(self, status: str) -> None:
        self._owes_ready = not self.send("READY=1", f"STATUS={status}")

    def alive(self, status: str) -> None:
        owed = ["READY=1"] if self._owes_ready else []
        if self.send("WATCHDOG=1", *owed, f"STATUS={status}"):
            self._owes_ready = False

    def stopping(self) -> None:
        self.send("STOPPING=1", "STATUS=Stopping: recordings go on at the next start")

    def send(self, *fields: str) -> bool:
        """One message, and whether it is out or nobody wants it; what cannot be sent is logged
        once and lost."""
        if self._address is None:
            return True
        name = self._address
        # An abstract name is written with @ for its leading zero byte.
        target = "\0" + name[1:] if name.startswith("@") else name
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(SEND_MAX_S)
                sock.sendto("\n".join(fields).encode(), target)
        except OSError as error:
            if not self._failed:
                log.warning("systemd cannot be told how we are: %s", error)
            self._failed = True
        else:
            self._failed = False
        return not self._failed
