"""What is wrong with the engine, for `/api/health`. Asks; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ..storage import Storage
from ..tools import Tools
from ..workers import Worker


def problems(
    storage: Storage, tools: Tools, workers: Sequence[Worker], stopping: bool
) -> tuple[list[str], bool]:
    """Sentences, and whether recording is impossible because of one of them."""
    if stopping:
        return ["the daemon is stopping"], True
    found, fatal = [], False
    for worker in workers:
        if worker.died:
            found.append(f"the {worker.name} thread is dead: restart the daemon")
            fatal = fatal or worker.name == "supervisor"
        elif worker.last_error:
            found.append(f"the {worker.name} thread fails: {worker.last_error}")
    if (problem := tools.problem()) is not None:
        found.append(f"{problem}: streams are captured, but no file can be finished")
    try:
        if not storage.room_for_recording():
            found.append("the disk has less than min_free_space: no recording starts")
            fatal = True
    except OSError as error:
        found.append(f"the disk cannot be read: {error}")
        fatal = True
    return found, fatal
