"""`/api/ws`: events as they happen, one handler thread per client.

The handler authenticates by the first message, sends the full state and then events from
a bounded queue. Only it sends messages; simple-websocket's reader thread answers pings.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from flask import g
from flask_sock import Sock
from simple_websocket import ConnectionClosed
from wsproto.utilities import LocalProtocolError

from .. import __version__
from ..errors import ChannelNotFound, Unauthorized, Unavailable
from ..models import Caller, Event, Role, iso, utc_now
from ..service import Service
from ..workers import DaemonThread
from . import views
from .channels import shown as shown_channel
from .guard import LOCAL
from .limits import Rate
from .routes import Access, Operation, Routes, service
from .slots import Slots

log = logging.getLogger(__name__)

AUTH_MAX_S = 10.0
SEND_MAX_S = 10.0
LOOK_EVERY_S = 0.25
HEARD_AT_ONCE = 10
READER_ENDS_MAX_S = 1.0
MESSAGE_MAX_BYTES = 64 * 1024
# A client that answers no ping is gone after at most two intervals.
CHECKED_EVERY_S = 1.0
INBOX_MAX, INBOX_MAX_CHARACTERS = 64, 256 * 1024
SUBSCRIBED_AT_ONCE = 1000
SLOT, EACH_MIN = "websocket", 8
FIRST_MESSAGE = 'The first message must be {"type": "auth", "token": "br_…"}'
ABOUT = ("The first message is {\"type\": \"auth\", \"token\": …}; then events come, "
         "beginning with `connected`.")
CLOSE_UNAUTHORIZED, CLOSE_SLOW, CLOSE_GOING_AWAY, CLOSE_LATER = 4401, 4408, 1001, 1013
NOBODY = Caller("nobody", Role.VIEWER, "")


class WholeSends:
    """A socket whose `send` sends everything: simple-websocket 1.1.0 takes one short send
    for a whole one, and calls it from two threads. A peer that takes nothing for
    SEND_MAX_S is as good as gone."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._lock = threading.Lock()
        sock.settimeout(SEND_MAX_S)

    def send(self, data: bytes) -> int:
        with self._lock:
            self._socket.sendall(data)
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class Inbox(list[Any]):
    """What a client said and nobody heard yet, bounded: simple-websocket's reader takes the
    error for a broken connection and ends."""

    def append(self, message: Any) -> None:
        if len(self) >= INBOX_MAX or sum(map(len, self)) > INBOX_MAX_CHARACTERS:
            raise OSError("The client says more than anyone can hear")
        super().append(message)


def reader_of(target: Callable[[], None]) -> DaemonThread:
    """The reader thread that simple-websocket is about to start; the one moment at which its
    socket and its inbox can be replaced before anyone uses them."""
    ws: Any = getattr(target, "__self__")
    ws.input_buffer = Inbox()
    ws.sock = WholeSends(ws.sock)
    return DaemonThread(target)


# A client that answers no ping is gone after at most two intervals.
SERVER_OPTIONS: dict[str, Any] = {
    "ping_interval": 20, "max_message_size": MESSAGE_MAX_BYTES, "thread_class": reader_of,
}


def make_routes() -> Routes:
    routes = Routes("ws")
    routes.declare("feed", Operation(
        "GET", "/ws", "Open a WebSocket", Access.OPEN, 101, None, rate=Rate.READ,
        errors=("VALIDATION_ERROR", "UNAVAILABLE"), about=ABOUT))
    slots, strangers, members = Slots(), Slots(), Slots()

    @routes.blueprint.before_request
    def cap() -> None:
        limit = service().settings.max_websockets
        if not slots.take(SLOT, limit, limit):
            raise Unavailable("There are as many WebSocket clients as max_websockets allows")
        g.inside = True
        # Whoever has not said who they are must not keep everyone else out for as long.
        if not strangers.take(g.credential, limit, max(2, limit // 4)):
            raise Unavailable("Too many WebSockets from here wait for their first message")
        g.stranger = g.credential

    def known(caller: Caller | None) -> None:
        """Raises Unavailable for one who has so many already that others would have none."""
        stranger = g.pop("stranger", None)
        if stranger is not None:
            strangers.give_back(stranger)
        if caller is not None:
            limit = service().settings.max_websockets
            if not members.take(caller.credential, limit, max(EACH_MIN, limit // 2)):
                raise Unavailable("You have as many WebSockets as one caller may have")
            g.member = caller.credential

    @routes.blueprint.teardown_request
    def leave(_: BaseException | None) -> None:
        known(None)
        member = g.pop("member", None)
        if member is not None:
            members.give_back(member)
        if g.pop("inside", False):
            slots.give_back(SLOT)

    @Sock().route("/ws", bp=routes.blueprint, endpoint="feed")  # type: ignore[untyped-decorator]
    def feed(ws: Any) -> None:
        try:
            Client(ws, service(), known).run()
        except TimeoutError:
            log.info("A WebSocket client took nothing for too long and is let go")
        except (OSError, LocalProtocolError):
            log.debug("A WebSocket client left in the middle of a message")
        finally:
            end_reader(ws)

    return routes


def end_reader(ws: Any) -> None:
    """Wake the reader thread, which would wait for the peer's goodbye, and let it end before
    the server closes the socket: a selector does not notice that until the next ping."""
    try:
        ws.sock.shutdown(socket.SHUT_RD)
    except OSError:
        log.debug("The WebSocket client was gone already")
    ws.thread.join(READER_ENDS_MAX_S)


class Client:
    """One WebSocket client, from its first message to its last event."""

    def __init__(self, ws: Any, engine: Service, on_known: Callable[[Caller], None]) -> None:
        self._ws = ws
        self._engine = engine
        self._on_known = on_known
        # None: every channel. The first `subscribe` narrows, further ones add.
        self._channels: set[str] | None = None
        self._token = ""
        self._caller = NOBODY
        self._checked_s = time.monotonic()

    def run(self) -> None:
        if not self._authenticate():
            return
        subscription = self._engine.bus.subscribe()
        try:
            self._send(self._state(subscription.after))
            while not self._engine.stopping.is_set():
                event = subscription.get(LOOK_EVERY_S)
                if event is not None and self._wants(event):
                    self._send(envelope(event))
                elif event is None and subscription.overflowed.is_set():
                    self._close(CLOSE_SLOW, "You do not keep up with the events: reconnect")
                    return
                self._hear()
                self._check_token()
            self._close(CLOSE_GOING_AWAY, "The daemon stops")
        except Unauthorized as error:
            self._error(error.code, str(error))
            self._close(CLOSE_UNAUTHORIZED, "Unauthorized")
        except ConnectionClosed:
            log.debug("A WebSocket client left")
        finally:
            self._engine.bus.unsubscribe(subscription)

    def _authenticate(self) -> bool:
        if self._engine.settings.local_only:
            self._enter(LOCAL)
            return True
        message = None
        deadline_s = time.monotonic() + AUTH_MAX_S
        try:
            while message is None and time.monotonic() < deadline_s:
                if self._engine.stopping.is_set():
                    break
                message = self._ws.receive(timeout=LOOK_EVERY_S)
            given = parse(message)
            if given.get("type") != "auth":
                raise Unauthorized(FIRST_MESSAGE)
            self._take_token(given)
            self._enter(self._caller)
        except Unavailable as error:
            self._error(error.code, str(error))
            self._close(CLOSE_LATER, "Too many WebSockets")
            return False
        except (Unauthorized, ValueError) as error:
            self._error("UNAUTHORIZED", str(error))
            self._close(CLOSE_UNAUTHORIZED, "Unauthorized")
            return False
        except ConnectionClosed:
            return False
        return True

    def _enter(self, caller: Caller) -> None:
        """Raises Unavailable."""
        self._caller = caller
        self._on_known(caller)

    def _take_token(self, given: dict[str, Any]) -> None:
        """Also later: a refreshed login ends the token with which this one came in.

        Raises Unauthorized.
        """
        if self._engine.settings.local_only:
            return
        token = given.get("token")
        if not isinstance(token, str):
            raise Unauthorized(FIRST_MESSAGE)
        self._caller = self._engine.accounts.caller(token)
        self._token = token

    def _check_token(self) -> None:
        """What is revoked stops working here, too. Raises Unauthorized."""
        if self._engine.settings.local_only:
            return
        if time.monotonic() - self._checked_s >= CHECKED_EVERY_S:
            self._checked_s = time.monotonic()
            self._engine.accounts.caller(self._token)

    def _state(self, seq: int) -> dict[str, Any]:
        engine = self._engine
        active = engine.recorder.find_active()
        return {
            "type": "connected", "event": "connected", "seq": seq, "timestamp": now(),
            "data": {
                "version": __version__,
                "channels": [shown_channel(channel, self._caller)
                             for channel in engine.store.channels.find_all()],
                "active": [views.active(a) for a in active],
                "storage": engine.storage_info(),
            },
        }

    def _wants(self, event: Event) -> bool:
        return (self._channels is None or event.channel_id is None
                or event.channel_id in self._channels)

    def _hear(self) -> None:
        """Take what the client said by now, but not so much that its events wait."""
        for _ in range(HEARD_AT_ONCE):
            message = self._ws.receive(timeout=0)
            if message is None:
                return
            self._take(message)

    def _take(self, message: Any) -> None:
        """One bad message costs the client nothing but an error."""
        try:
            given = parse(message)
            kind, wanted = given.get("type"), given.get("channels")
            if kind == "auth":
                self._take_token(given)
                self._send({"type": "authenticated"})
                return
            if kind not in ("subscribe", "unsubscribe"):
                raise ValueError("Messages are of type subscribe or unsubscribe")
            if not isinstance(wanted, list) or not all(isinstance(c, str) for c in wanted):
                raise ValueError("channels must be a list of channel ids")
            if len(wanted) > SUBSCRIBED_AT_ONCE:
                raise ValueError(f"channels may have {SUBSCRIBED_AT_ONCE} ids at most")
            self._subscribe(kind, set(wanted))
        except ChannelNotFound as error:
            self._error(error.code, str(error))
        except ValueError as error:
            self._error("VALIDATION_ERROR", str(error))

    def _subscribe(self, kind: str, wanted: set[str]) -> None:
        """Raises ChannelNotFound, with nothing changed."""
        if "*" in wanted:
            self._channels = None if kind == "subscribe" else set()
        else:
            everything = {c.id for c in self._engine.store.channels.find_all()}
            for channel_id in sorted(wanted - everything):
                raise ChannelNotFound(channel_id)
            if kind == "subscribe":
                self._channels = (self._channels or set()) | wanted
            else:
                self._channels = (
                    everything if self._channels is None else self._channels) - wanted
        listed = ["*"] if self._channels is None else sorted(self._channels)
        self._send({"type": "subscribed", "channels": listed})

    def _error(self, code: str, message: str) -> None:
        self._send({"type": "error", "error": {"code": code, "message": message}})

    def _send(self, message: dict[str, Any]) -> None:
        self._ws.send(json.dumps(message, separators=(",", ":")))

    def _close(self, code: int, reason: str) -> None:
        self._ws.close(code, reason)


def parse(message: Any) -> dict[str, Any]:
    """A client's message. Raises ValueError."""
    if message is None:
        raise ValueError("No message came in time")
    try:
        given = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise ValueError("The message is not JSON") from error
    if not isinstance(given, dict):
        raise ValueError("The message must be a JSON object")
    return given


def envelope(event: Event) -> dict[str, Any]:
    return {"type": event.type, "event": event.dotted, "seq": event.seq,
            "timestamp": iso(event.timestamp), "data": event.data}


def now() -> str:
    return str(iso(utc_now()))
