"""The WebSocket: who is let in, what it tells and in which order, and what bad clients cost.

All tests speak to one daemon; `tests.test_bad_input` holds those of clients that hang.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import simple_websocket

from .daemon import Daemon, another_address, run_command
from .listener import UPGRADE, Listener, upgrade, wait_until
from .media import ts_clips
from .origin import Origin

CLIENTS = 4


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("ws"), max_websockets=CLIENTS).start()
    yield one
    one.close()


@pytest.fixture
def connect() -> Iterator[Callable[[int], Listener]]:
    """Makes clients, which have left at the end of the test. A place that was just left is
    free after a moment, so a 503 is tried again."""
    made: list[Listener] = []

    def make(port: int) -> Listener:
        def one() -> bool:
            with contextlib.suppress(simple_websocket.ConnectionError):
                made.append(Listener(port))
                return True
            return False
        wait_until(one)
        return made[-1]

    yield make
    for listener in made:
        listener.leave()


Connect = Callable[[int], Listener]


@pytest.fixture
def channels(daemon: Daemon) -> Iterator[Callable[[], str]]:
    """Adds channels that nobody checks: each `flip` of one makes exactly one event."""
    made: list[str] = []

    def add() -> str:
        status, body, _ = daemon.call("POST", "/api/channels", {
            "platform": "url", "name": f"http://127.0.0.1:9/{len(made)}", "enabled": False})
        assert status == 201
        made.append(body["id"])
        daemon.call("PATCH", f"/api/channels/{body['id']}", {"paused": True})
        return str(body["id"])

    yield add
    for channel_id in made:
        daemon.call("DELETE", f"/api/channels/{channel_id}")


def flip(daemon: Daemon, channel_id: str, enabled: bool) -> None:
    """From `disabled` to `paused` or back."""
    status, _, _ = daemon.call("PATCH", f"/api/channels/{channel_id}", {"enabled": enabled})
    assert status == 200


def no_traceback(daemon: Daemon) -> None:
    assert not [line for line in daemon.log if "Traceback" in line], "\n".join(daemon.log)


# Who is let in.


@pytest.mark.parametrize("first", [
    {"type": "auth", "token": "br_" + "x" * 40}, {"type": "auth", "token": "x"},
    {"type": "auth", "token": "br_\ud800"}, {"type": "auth", "token": {"br_": 1}},
    {"type": "auth"}, {"type": "subscribe", "channels": ["*"]}, [], "no JSON", "{", b"\xff\xfe",
    "[" * 60_000,
], ids=repr)
def test_wrong_first_message(daemon: Daemon, connect: Connect, first: Any) -> None:
    listener = connect(daemon.port)
    listener.say(first)
    code, heard = listener.hear_end()
    assert code == 4401
    assert [message["type"] for message in heard] == ["error"]
    assert heard[0]["error"]["code"] == "UNAUTHORIZED" and heard[0]["error"]["message"]
    no_traceback(daemon)


def test_read_key_is_enough_and_revoked_key_is_not(daemon: Daemon, connect: Connect) -> None:
    config = ("--config", str(daemon.config))
    key = run_command("api-key", "create", "ears", "--read", *config).stdout.strip()
    assert connect(daemon.port).enter(key)["type"] == "connected"
    listed = run_command("api-key", "list", *config).stdout.splitlines()
    number = next(line.split("\t")[0] for line in listed if line.endswith("\tears"))
    assert run_command("api-key", "revoke", number, *config).returncode == 0
    listener = connect(daemon.port)
    assert listener.enter(key)["type"] == "error"
    assert listener.hear_end()[0] == 4401


def test_connected_brings_the_full_state(
    daemon: Daemon, connect: Connect, channels: Callable[[], str]
) -> None:
    channels()
    first = connect(daemon.port).enter(daemon.key)
    assert (first["type"], first["event"]) == ("connected", "connected")
    assert isinstance(first["seq"], int) and first["timestamp"].endswith("Z")
    data = first["data"]
    assert data["version"] == daemon.get("/api/health")["version"]
    assert data["channels"] == daemon.get("/api/channels")["channels"] != []
    assert data["active"] == []
    assert data["storage"]["total_used"] == 0 < data["storage"]["total_available"]


def test_no_upgrade_is_an_error_with_the_shape(daemon: Daemon) -> None:
    without = dict(UPGRADE)
    bearer = {"Authorization": f"Bearer {daemon.key}"}
    cases = [(bearer, 400), ({}, 401), ({**UPGRADE, "Sec-WebSocket-Version": "8"}, 400)]
    for name in ("Sec-WebSocket-Version", "Sec-WebSocket-Key"):
        cases.append(({k: v for k, v in without.items() if k != name}, 400))
    for headers, expected in cases:
        status, answered, body = upgrade(daemon.port, headers)
        error = json.loads(body)["error"]
        assert (status, answered["Content-Type"]) == (expected, "application/json"), headers
        assert error["code"] == {400: "VALIDATION_ERROR", 401: "UNAUTHORIZED"}[expected]
        assert expected == 401 or "WebSocket" in error["message"]
    assert upgrade(daemon.port, bearer, "POST")[0] == 405
    no_traceback(daemon)


# What it tells.


def test_events_of_one_recording(daemon: Daemon, connect: Connect) -> None:
    clips = ts_clips(6)
    with Origin() as origin:
        origin.add(clips[0])
        listener = connect(daemon.port)
        first = listener.enter(daemon.key)
        _, channel, _ = daemon.call(
            "POST", "/api/channels", {"platform": "url", "name": origin.url})
        origin.play(clips[1:], every_s=0.2)
        heard = listener.hear_until(lambda m: m["type"] in (
            "processing_complete", "processing_failed"))
        daemon.call("DELETE", f"/api/channels/{channel['id']}")
    seqs = [event["seq"] for event in heard]
    assert seqs == list(range(first["seq"] + 1, first["seq"] + 1 + len(heard)))
    for event in heard:
        assert list(event) == ["type", "event", "seq", "timestamp", "data"]
        assert event["event"] == event["type"].replace("_", ".", 1)
        assert event["data"]["channel_id"] == channel["id"]
        assert event["data"]["channel"] == channel["display_name"]
        assert event["data"]["platform"] == "url"
    of_recording = [e for e in heard if not e["type"].startswith("channel_")]
    assert len({event["data"]["id"] for event in of_recording}) == 1
    kinds = [kind for kind, _ in itertools.groupby(event["type"] for event in of_recording)]
    assert kinds == ["recording_started", "segment_downloaded", "recording_ended",
                     "processing_started", "processing_progress", "processing_complete"]
    statuses = [e["data"]["status"] for e in heard if e["type"] == "channel_status"]
    assert statuses[:3] == ["offline", "starting", "recording"]
    assert heard.index(of_recording[0]) > [e["data"].get("status") for e in heard].index("starting")
    segments = [e["data"] for e in heard if e["type"] == "segment_downloaded"]
    assert sum(data["new_segments"] for data in segments) == segments[-1]["segments"] == 6
    assert heard[-1]["data"]["completeness"] == 1.0
    assert Path(heard[-1]["data"]["file_path"]).is_file()


def test_subscriptions(daemon: Daemon, connect: Connect, channels: Callable[[], str]) -> None:
    one, two, three = channels(), channels(), channels()
    listener = connect(daemon.port)
    listener.enter(daemon.key)
    state = dict.fromkeys((one, two, three), False)

    def told(*flipped: str) -> list[str]:
        """Which of these channels are told of; the one to be heard surely stands last."""
        for channel_id in flipped:
            state[channel_id] = not state[channel_id]
            flip(daemon, channel_id, state[channel_id])
        heard = listener.hear_until(lambda m: m["data"]["channel_id"] == flipped[-1])
        return [event["data"]["channel_id"] for event in heard]

    def say(kind: str, *wanted: str) -> dict[str, Any]:
        listener.say({"type": kind, "channels": list(wanted)})
        return listener.hear()

    assert told(one, two, three) == [one, two, three]
    assert say("subscribe", one) == {"type": "subscribed", "channels": [one]}
    assert told(two, three, one) == [one]
    assert say("subscribe", two)["channels"] == sorted([one, two])
    assert told(three, one, two) == [one, two]
    assert say("unsubscribe", one)["channels"] == [two]
    assert told(one, three, two) == [two]
    unknown = say("subscribe", three, "ch_000000000000")
    assert (unknown["type"], unknown["error"]["code"]) == ("error", "CHANNEL_NOT_FOUND")
    assert told(three, one, two) == [two]
    assert say("subscribe", "*") == {"type": "subscribed", "channels": ["*"]}
    assert told(three, two, one) == [three, two, one]
    assert three not in say("unsubscribe", three)["channels"]
    assert told(three, two, one) == [two, one]
    assert say("unsubscribe", "*") == {"type": "subscribed", "channels": []}


def test_malformed_messages_cost_an_error_only(daemon: Daemon, connect: Connect) -> None:
    listener = connect(daemon.port)
    listener.enter(daemon.key)
    messages: list[Any] = [
        "", "no JSON", "{", "[]", "null", '"subscribe"', b"\xff", "[" * 60_000, {},
        {"type": "dance"}, {"type": 5}, {"type": "subscribe"}, {"type": ["subscribe"]},
        {"type": "subscribe", "channels": "*"}, {"type": "subscribe", "channels": [1]},
        {"type": "unsubscribe", "channels": {"*": 1}},
        {"type": "subscribe", "channels": ["ch_x"] * 1001},
    ]
    began_s = time.monotonic()
    for message in messages:
        listener.say(message)
    for message in messages:
        answer = listener.hear()
        assert (answer["type"], answer["error"]["code"]) == ("error", "VALIDATION_ERROR"), message
        assert answer["error"]["message"]
    assert time.monotonic() - began_s < 2.0
    listener.say(json.dumps({"type": "subscribe", "channels": ["*"]}).ljust(64 * 1024))
    assert listener.hear() == {"type": "subscribed", "channels": ["*"]}
    no_traceback(daemon)


@pytest.mark.parametrize("size", [64 * 1024 + 1, 1024 * 1024])
def test_message_over_64_kib(daemon: Daemon, connect: Connect, size: int) -> None:
    listener = connect(daemon.port)
    listener.enter(daemon.key)
    with contextlib.suppress(OSError):  # the server may have gone in the middle of it
        listener.say("x" * size)
    assert listener.hear_end()[0] == 1009
    no_traceback(daemon)


# What bad clients cost.


def test_more_clients_than_there_is_room_for(daemon: Daemon, connect: Connect) -> None:
    inside = [connect(daemon.port) for _ in range(CLIENTS)]
    for listener in inside:
        assert listener.enter(daemon.key)["type"] == "connected"
    status, headers, body = upgrade(daemon.port, UPGRADE)
    assert (status, headers["Content-Type"]) == (503, "application/json")
    assert json.loads(body)["error"]["code"] == "UNAVAILABLE"
    assert daemon.get("/api/channels") is not None
    inside[0].leave()
    assert connect(daemon.port).enter(daemon.key)["type"] == "connected"
    assert inside[1].connected


def test_strangers_do_not_keep_others_out(daemon: Daemon, connect: Connect) -> None:
    """One address opens what it can and says nothing; whoever says who they are still comes in."""
    address, held = another_address(), list[Listener]()
    wait_until(lambda: opened(daemon.port, address, held))
    for _ in range(CLIENTS):
        opened(daemon.port, address, held)
    try:
        assert 0 < len(held) < CLIENTS
        assert connect(daemon.port).enter(daemon.key)["type"] == "connected"
    finally:
        for listener in held:
            listener.leave()


def opened(port: int, address: str, held: list[Listener]) -> bool:
    with contextlib.suppress(simple_websocket.ConnectionError):
        held.append(Listener(port, address))
        return True
    return False


def test_clients_that_come_and_go_take_no_place(daemon: Daemon, connect: Connect) -> None:
    for number in range(20):
        listener = connect(daemon.port)
        if number % 4 < 2:
            listener.enter(daemon.key)
        listener.leave(politely=number % 2 == 0)
    for _ in range(5):
        upgrade(daemon.port, UPGRADE)  # gone as soon as it is in
    garbage = connect(daemon.port)
    garbage.enter(daemon.key)
    garbage.sock.sendall(b"\xff" * 40)
    assert garbage.hear_end()[0] == 1002
    for _ in range(CLIENTS):
        assert connect(daemon.port).enter(daemon.key)["type"] == "connected"
    no_traceback(daemon)
