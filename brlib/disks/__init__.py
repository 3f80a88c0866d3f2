"""The disks: which answer, how full they are, for how long they last, and who ends for want of
room."""

from .base import Answer, Disk, DiskState, Group, NoAnswer, Use
from .disks import Disks
from .room import Room, RoomCommands

__all__ = [
    "Answer", "Disk", "DiskState", "Disks", "Group", "NoAnswer", "Room", "RoomCommands", "Use",
]
