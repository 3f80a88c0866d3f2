"""Names that Kick's API does not know, among those that it does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from brlib.errors import PlatformError, Trouble
from brlib.models import Broadcast
from brlib.platforms.kick import Kick

from .kick_world import APP, CHANNELS, Scene, channel, new_scene
from .standin.base import Reply
from .standin.kick import API


@pytest.fixture
def scene() -> Iterator[Scene]:
    with new_scene() as one:
        one.logins.given_app = APP
        yield one


@pytest.fixture
def kick(scene: Scene) -> Kick:
    return scene.kick


def test_one_unknown_channel_spoils_no_other(scene: Scene, kick: Kick) -> None:
    channels = [channel(f"c{n}") for n in range(40)]
    for one in channels[:-1]:
        scene.host.add(one.name, live=True)
    found = kick.check_many(channels)
    gone = found[channels[-1].id]
    assert isinstance(gone, PlatformError) and gone.trouble is Trouble.NOT_FOUND
    assert all(isinstance(found[one.id], Broadcast) for one in channels[:-1])
    assert scene.asked(CHANNELS) <= 15


def test_who_is_unknown_is_not_looked_up_each_time(scene: Scene, kick: Kick) -> None:
    scene.host.add("chess", live=True)
    channels = [channel("chess"), channel("nobody")]
    kick.check_many(channels)
    asked = scene.asked(CHANNELS)
    found = kick.check_many(channels)
    gone = found["ch_nobody"]
    assert isinstance(gone, PlatformError) and gone.trouble is Trouble.NOT_FOUND
    assert isinstance(found["ch_chess"], Broadcast)
    assert scene.asked(CHANNELS) == asked


def test_who_is_known_does_not_wait_for_who_is_not(scene: Scene, kick: Kick) -> None:
    scene.host.add("chess", live=True)
    assert kick.check(channel("chess")) is not None
    scene.standin.fail(API, Reply(500), "/public/v1/channels")
    found = kick.check_many([channel("chess"), channel("new")])
    assert isinstance(found["ch_chess"], Broadcast)
    assert isinstance(found["ch_new"], PlatformError)


def test_looking_up_is_bounded(scene: Scene, kick: Kick) -> None:
    """An API that takes no slug at all is not asked about each of a hundred."""
    found = kick.check_many([channel(f"c{n}") for n in range(100)])
    assert all(isinstance(one, PlatformError) for one in found.values())
    assert scene.asked() == 15


def test_many_unknown_names_do_not_hide_the_others(scene: Scene, kick: Kick) -> None:
    """In a list that was imported: some in every part that could be asked for at once."""
    channels = [channel(f"c{n}") for n in range(50)]
    for number, one in enumerate(channels):
        if number % 6:
            scene.host.add(one.name, live=True)
    live: list[int] = []
    while scene.clock_s < 600.0:
        asked = scene.asked(CHANNELS)
        found = kick.check_many(channels)
        # Twice in the same minute is no more.
        kick.check_many(channels)
        assert scene.asked(CHANNELS) - asked <= 15
        live.append(sum(isinstance(one, Broadcast) for one in found.values()))
        scene.clock_s += 60.0
    assert 0 < live[0] < live[1] < live[-1] == 41


def test_a_person_who_asks_hears_of_a_new_channel(scene: Scene, kick: Kick) -> None:
    for known in (False, True):
        with pytest.raises(PlatformError) as caught:
            kick.check(channel("chess"))
        assert caught.value.trouble is Trouble.NOT_FOUND
        if not known:
            scene.host.add("chess", live=True)
    found = kick.check_many([channel("chess")], fresh=True)
    assert isinstance(found["ch_chess"], Broadcast)
