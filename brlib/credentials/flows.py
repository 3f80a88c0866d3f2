"""Logins that a person has begun: by a code entered elsewhere, or by an address brought back.

Commanded by `credentials`, whose worker calls `step`. What is under way is in the database:
a restart in the middle ends no login.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from ..errors import Conflict, Invalid, PlatformError, Problem
from ..platforms.base import App
from ..store import Store
from ..store.credentials import API, DEVICE, REDIRECT, Credential, LoginFlow
from .base import (
    DeviceLogin, DeviceProvider, Grant, PlatformNotFound, RedirectLogin, RedirectProvider,
    Rejected, Wait,
)
from .values import returned
from .vault import Vault

log = logging.getLogger(__name__)

# Of one platform; who begins another ends the oldest.
UNDER_WAY_MAX = 5
STATE_LASTS = timedelta(minutes=10)
SLOWER_S = 5
WAIT_MAX_S = 60.0


class Flows:
    """`on_login` is told of each platform whose login is kept, `on_orphan` is given what came
    of a login that was ended here meanwhile; `monotonic` is for the time between two questions.
    """

    def __init__(
        self, vault: Vault, store: Store, devices: Mapping[str, DeviceProvider],
        redirects: Mapping[str, RedirectProvider], on_login: Callable[[str], None],
        on_orphan: Callable[[Credential], None], monotonic: Callable[[], float],
    ) -> None:
        self._vault = vault
        self._store = store.login_flows
        self._devices = devices
        self._redirects = redirects
        self._on_login = on_login
        self._on_orphan = on_orphan
        self._monotonic = monotonic
        self._next_s: dict[str, float] = {}
        self._lock = threading.Lock()
        # The states that someone has brought back, while the platform is asked.
        self._at_work: set[str] = set()

    def begin(self, platform: str) -> DeviceLogin | RedirectLogin:
        """Raises PlatformNotFound, Conflict when no app is configured, PlatformError."""
        if platform in self._devices:
            return self._begin_device(platform, self._devices[platform])
        if platform in self._redirects:
            return self._begin_redirect(platform, self._redirects[platform])
        raise PlatformNotFound(platform)

    def _begin_device(self, platform: str, provider: DeviceProvider) -> DeviceLogin:
        app = self._vault.need_app(platform)
        code = provider.begin(app)
        self._add(platform, DEVICE, code.device_code, app, timedelta(seconds=code.expires_in_s),
                  code.interval_s)
        return DeviceLogin(
            code.user_code, code.verification_uri, code.expires_in_s, code.interval_s)

    def _begin_redirect(self, platform: str, provider: RedirectProvider) -> RedirectLogin:
        app, verifier = self._vault.need_app(platform), secrets.token_urlsafe(48)
        state = self._add(platform, REDIRECT, verifier, app, STATE_LASTS)
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return RedirectLogin(provider.auth_url(app, state, challenge), state)

    def _add(
        self, platform: str, flow: str, secret: str, app: App, lasts: timedelta,
        interval_s: float = 0.0,
    ) -> str:
        now, state = self._vault.clock(), secrets.token_urlsafe(32)
        self._store.add(
            LoginFlow(state, platform, flow, secret, app.client_id, now, now + lasts, interval_s),
            UNDER_WAY_MAX)
        log.info("%s: someone begins to log in", platform)
        return state

    # What comes back.

    def callback(
        self, platform: str, code: str | None, state: str | None, redirect_url: str | None
    ) -> None:
        """Raises PlatformNotFound; Invalid for what did not come out of a login that was
        begun here and is not over; Conflict while it is being finished or no app is
        configured; PlatformError, and it can be brought back again."""
        self._vault.provider(platform)
        provider = self._redirects.get(platform)
        if provider is None:
            raise Invalid([], f"{platform} logs in by a code that is entered there: nothing "
                              "has to be brought back")
        code, state = returned(code, state, redirect_url)
        with self._held(state):
            self._redeem(platform, provider, self._get_begun(platform, state), code)

    @contextmanager
    def _held(self, state: str) -> Iterator[None]:
        """What is at work on a login that was begun, alone. Raises Conflict."""
        with self._lock:
            if state in self._at_work:
                raise Conflict("This login is being finished already: wait for that")
            self._at_work.add(state)
        try:
            yield
        finally:
            with self._lock:
                self._at_work.discard(state)

    def _get_begun(self, platform: str, state: str) -> LoginFlow:
        """Raises Invalid."""
        for flow in self._store.find_all():
            if (flow.id, flow.platform, flow.flow) == (state, platform, REDIRECT):
                if flow.expires_at > self._vault.clock():
                    return flow
                self._store.take(flow.id, platform)
        raise Invalid([Problem("state", "is of no login that was begun here and is not over: "
                                        "begin again")])

    def _redeem(
        self, platform: str, provider: RedirectProvider, flow: LoginFlow, code: str | None
    ) -> None:
        """Only a platform's own no ends the login: after any other failure the same address can
        be brought back again."""
        if code is None:
            raise self._over(flow, "redirect_url", "says that the login was denied")
        app = self._vault.need_app(platform)
        if app.client_id != flow.client_id:
            raise self._over(flow, "state", "is of another client id: begin again")
        try:
            grant = provider.redeem(app, code, flow.secret)
        except Rejected:
            raise self._over(
                flow, "code", "is not taken, it was used or is too old: begin again") from None
        if not self._store.finish(flow.id, self._vault.granted(platform, grant, app.client_id)):
            self._vault.abandon(platform, grant, app.client_id, self._on_orphan)
            raise Invalid([Problem("state", "is of a login that was ended here meanwhile")])
        self._introduce(platform)

    def _over(self, flow: LoginFlow, name: str, reason: str) -> Invalid:
        self._store.take(flow.id, flow.platform)
        return Invalid([Problem(name, reason)])

    def _introduce(self, platform: str) -> None:
        """Ask whose login it is that was just kept."""
        self._on_login(platform)
        credential = self._vault.store.find(platform, API)
        if credential is not None:
            try:
                identity = self._vault.provider(platform).identify(credential.secret)
                self._vault.confirm(credential, identity)
            except PlatformError as error:
                self._vault.trouble(credential, str(error))
        log.info("%s: someone has logged in", platform)
        self._vault.updated(platform, API)

    # What is waited for.

    def step(self) -> float:
        """Ask about one login that is due; seconds until the next is, 0 when there may be
        one now."""
        now, now_s, waits_s = self._vault.clock(), self._monotonic(), [WAIT_MAX_S]
        flows = self._store.find_all()
        self._next_s = {flow.id: self._next_s.get(flow.id, now_s + flow.interval_s)
                        for flow in flows}
        with self._lock:
            at_work = set(self._at_work)
        for flow in flows:
            if flow.id in at_work:
                continue
            if flow.expires_at <= now:
                self._drop(flow, "a login was begun and not finished in time")
            elif flow.flow == DEVICE and self._next_s[flow.id] <= now_s:
                # Whatever becomes of this one, the others have their turn first.
                self._next_s[flow.id] = now_s + flow.interval_s
                self._ask(flow)
                return 0.0
            elif flow.flow == DEVICE:
                waits_s.append(self._next_s[flow.id] - now_s)
        return min(waits_s)

    def _ask(self, flow: LoginFlow) -> None:
        app, wait_s = self._vault.app(flow.platform), flow.interval_s
        if app is None or app.client_id != flow.client_id or self._vault.missing(flow.platform):
            self._drop(flow, "the app's configuration has changed during a login")
            return
        try:
            answer = self._devices[flow.platform].poll(app, flow.secret)
        except Rejected as error:
            self._drop(flow, str(error))
            return
        except PlatformError as error:
            log.info("%s: %s", flow.platform, error)
            answer, wait_s = Wait.PENDING, max(2 * wait_s, error.retry_after_s or 0.0)
        if isinstance(answer, Grant):
            self._finish(flow, answer)
            return
        if answer is Wait.SLOWER:
            wait_s = flow.interval_s + SLOWER_S
            self._store.slow_down(flow.id, wait_s)
        self._next_s[flow.id] = self._monotonic() + wait_s

    def _finish(self, flow: LoginFlow, grant: Grant) -> None:
        credential = self._vault.granted(flow.platform, grant, flow.client_id)
        if self._store.finish(flow.id, credential):
            self._introduce(flow.platform)
        else:
            log.info("%s: a login was finished that someone has ended here", flow.platform)
            self._vault.abandon(flow.platform, grant, flow.client_id, self._on_orphan)

    def _drop(self, flow: LoginFlow, reason: str) -> None:
        if self._store.take(flow.id, flow.platform) is not None:
            log.warning("%s: %s", flow.platform, reason)
