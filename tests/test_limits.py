"""Rate limits: windows of a minute, whom they count for, and that they stay small."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from brlib.web.limits import LIMITS, WINDOW_S, Limiter, Rate, address_of


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limiter(clock: Clock, windows_max: int = 100) -> Limiter:
    return Limiter(clock, lambda: 1_770_000_000.0 + clock(), windows_max)


def test_the_numbers_of_the_reference() -> None:
    assert LIMITS == {Rate.AUTH: 10, Rate.READ: 100, Rate.WRITE: 30}


@pytest.mark.parametrize("rate", list(Rate))
def test_a_window(clock: Clock, rate: Rate) -> None:
    subject, limit = limiter(clock), LIMITS[rate]
    for used in range(limit):
        allowance = subject.count(rate, "me")
        assert (allowance.exceeded, allowance.remaining) == (False, limit - used - 1)
        clock.now_s += WINDOW_S / limit / 2
    refused = subject.count(rate, "me")
    assert refused.exceeded
    assert refused.left_s == 1000.0 + WINDOW_S - clock.now_s
    assert refused.headers == {
        "X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "1770001060"}
    assert not subject.count(rate, "you").exceeded
    clock.now_s = 1000.0 + WINDOW_S - 0.001
    assert subject.count(rate, "me").exceeded
    clock.now_s = 1000.0 + WINDOW_S
    assert not subject.count(rate, "me").exceeded


def test_classes_count_by_themselves_and_peeking_does_not(clock: Clock) -> None:
    subject = limiter(clock)
    for _ in range(LIMITS[Rate.WRITE]):
        subject.count(Rate.WRITE, "me")
        subject.peek(Rate.READ, "me")
    assert subject.peek(Rate.WRITE, "me").remaining == 0
    assert not subject.peek(Rate.WRITE, "me").exceeded
    assert subject.count(Rate.WRITE, "me").exceeded
    assert subject.count(Rate.READ, "me").remaining == LIMITS[Rate.READ] - 1


def test_however_many_call_it_stays_small(clock: Clock) -> None:
    subject = limiter(clock, windows_max=50)
    for number in range(LIMITS[Rate.AUTH]):
        assert not subject.count(Rate.AUTH, "guesser").exceeded
    for number in range(10_000):
        subject.count(Rate.READ, f"flood {number}")
    sizes = {rate: len(windows) for rate, windows in subject._windows.items()}
    assert sizes == {Rate.AUTH: 1, Rate.READ: 50, Rate.WRITE: 0}
    # A flood of one class does not wash away what is known of another.
    assert subject.count(Rate.AUTH, "guesser").exceeded
    clock.now_s += WINDOW_S
    subject.count(Rate.READ, "later")
    assert len(subject._windows[Rate.READ]) == 1


PROXY = ("10.0.0.1/32", "192.168.0.0/16", "fd00::/8")


@pytest.mark.parametrize("peer, forwarded, proxies, expected", [
    ("203.0.113.5", "", (), "203.0.113.5"),
    ("203.0.113.5", "198.51.100.1", (), "203.0.113.5"),
    ("203.0.113.5", "198.51.100.1", PROXY, "203.0.113.5"),
    ("10.0.0.1", "198.51.100.1", PROXY, "198.51.100.1"),
    # What the client wrote itself stands before what the proxy saw.
    ("10.0.0.1", "6.6.6.6, 198.51.100.1", PROXY, "198.51.100.1"),
    ("10.0.0.1", "6.6.6.6, 198.51.100.1, 192.168.3.4", PROXY, "198.51.100.1"),
    ("10.0.0.1", "192.168.3.4", PROXY, "192.168.3.4"),
    ("10.0.0.1", "", PROXY, "10.0.0.1"),
    ("10.0.0.1", "unknown", PROXY, "10.0.0.1"),
    ("10.0.0.1", "6.6.6.6, _hidden", PROXY, "10.0.0.1"),
    ("10.0.0.1", "198.51.100.1:4711", PROXY, "198.51.100.1"),
    ("10.0.0.1", "[2001:db8:1:2:3::4]:443", PROXY, "2001:db8:1:2::/64"),
    ("2001:db8:1:2:3::4", "", (), "2001:db8:1:2::/64"),
    ("2001:db8:1:2:ffff::9", "", (), "2001:db8:1:2::/64"),
    ("2001:db8:1:3::4", "", (), "2001:db8:1:3::/64"),
    ("::ffff:10.0.0.1", "198.51.100.1", PROXY, "198.51.100.1"),
    ("::ffff:203.0.113.5", "", (), "203.0.113.5"),
    ("fe80::1%eth0", "", (), "fe80::/64"),
    ("fd00::5", "198.51.100.1", PROXY, "198.51.100.1"),
    ("", "198.51.100.1", PROXY, ""),
])
def test_whom_it_counts_for(
    peer: str, forwarded: str, proxies: tuple[str, ...], expected: str
) -> None:
    assert address_of(peer, forwarded, proxies) == expected
