"""A stand-in for Twitch, YouTube and Kick: what they would answer, on this machine.

`base` decides and records, `twitch`, `kick` and `youtube` know the answers. Tests inside this
process reach it by `adapter`, a daemon by `proxy`.
"""
