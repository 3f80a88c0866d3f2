"""Platform logins: API tokens and playback credentials, how one gets them and keeps them."""

from .base import (
    PLATFORMS, Availability, DeviceLogin, KeptCookies, KindView, LoginStatus, PlatformNotFound,
    PlatformView, RedirectLogin, Tested,
)
from .credentials import Credentials

__all__ = [
    "PLATFORMS", "Availability", "Credentials", "DeviceLogin", "KeptCookies", "KindView",
    "LoginStatus", "PlatformNotFound", "PlatformView", "RedirectLogin", "Tested",
]
