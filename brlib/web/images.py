"""`/api/channels/{id}/…`: profile and images."""

from __future__ import annotations

from typing import Any

from flask import Response, g, request
from werkzeug.exceptions import UnsupportedMediaType

from ..errors import ImageNotFound
from ..images import ImageKind
from . import files, inputs, shapes, views
from .routes import Media, Routes, service

routes = Routes("images")

NOT_FOUND = "CHANNEL_NOT_FOUND"
JPEG = "image/jpeg"
# What multipart puts around a file.
FRAME_BYTES = 64 * 1024
UPLOAD: dict[str, Any] = {"required": True, "content": {"multipart/form-data": {"schema": {
    "type": "object", "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary"}}}}}}


def profile(channel_id: str) -> dict[str, Any]:
    """Raises ChannelNotFound."""
    channel = service().store.channels.get(channel_id)
    found = {kind: service().images.find(channel_id, kind) for kind in ImageKind}
    return views.profile(channel, found, g.caller.role)


@routes.get("/channels/<channel_id>/profile", "Get a channel's profile", shapes.PROFILE,
            errors=(NOT_FOUND,))
def get_profile(channel_id: str) -> Any:
    return profile(channel_id)


@routes.post("/channels/<channel_id>/images/fetch-platform",
             "Fetch the images from the platform again", shapes.PROFILE,
             errors=(NOT_FOUND, "PLATFORM_ERROR", "UNAVAILABLE"))
def fetch_images(channel_id: str) -> Any:
    service().images.fetch(service().store.channels.get(channel_id))
    return profile(channel_id)


def _get(channel_id: str, kind: ImageKind) -> Response:
    service().store.channels.get(channel_id)
    image = service().images.find(channel_id, kind)
    if image is None:
        raise ImageNotFound(f"The channel has no {kind} image")
    return files.send(image.path, JPEG, etag=image.etag, small=True)


def _put(channel_id: str, kind: ImageKind) -> dict[str, Any]:
    service().store.channels.get(channel_id)
    request.max_content_length = kind.max_bytes + FRAME_BYTES
    if request.mimetype != inputs.FORM:
        raise UnsupportedMediaType("Send a form with the file, as curl's -F file=@image.jpg does")
    service().images.put(channel_id, kind, inputs.first_file(request))
    return profile(channel_id)


@routes.get("/channels/<channel_id>/images/profile", "Get the profile image", Media((JPEG,)),
            errors=(NOT_FOUND, "IMAGE_NOT_FOUND", "UNAVAILABLE"))
def get_profile_image(channel_id: str) -> Response:
    return _get(channel_id, ImageKind.PROFILE)


@routes.post("/channels/<channel_id>/images/profile", "Upload a profile image", shapes.PROFILE,
             201, upload=UPLOAD, errors=(NOT_FOUND, "UNAVAILABLE"))
def put_profile_image(channel_id: str) -> Any:
    """PNG, JPEG, GIF or WebP of at most 5 MB; it becomes a JPEG of 300 by 300."""
    return _put(channel_id, ImageKind.PROFILE)


@routes.delete("/channels/<channel_id>/images/profile", "Remove the uploaded profile image",
               errors=(NOT_FOUND, "IMAGE_NOT_FOUND"))
def delete_profile_image(channel_id: str) -> None:
    """The platform's own is shown again."""
    service().store.channels.get(channel_id)
    service().images.remove(channel_id, ImageKind.PROFILE)


@routes.get("/channels/<channel_id>/images/banner", "Get the banner image", Media((JPEG,)),
            errors=(NOT_FOUND, "IMAGE_NOT_FOUND", "UNAVAILABLE"))
def get_banner_image(channel_id: str) -> Response:
    return _get(channel_id, ImageKind.BANNER)


@routes.post("/channels/<channel_id>/images/banner", "Upload a banner image", shapes.PROFILE,
             201, upload=UPLOAD, errors=(NOT_FOUND, "UNAVAILABLE"))
def put_banner_image(channel_id: str) -> Any:
    """PNG, JPEG, GIF or WebP of at most 10 MB; it becomes a JPEG of 1200 by 400."""
    return _put(channel_id, ImageKind.BANNER)


@routes.delete("/channels/<channel_id>/images/banner", "Remove the uploaded banner image",
               errors=(NOT_FOUND, "IMAGE_NOT_FOUND"))
def delete_banner_image(channel_id: str) -> None:
    """The platform's own is shown again."""
    service().store.channels.get(channel_id)
    service().images.remove(channel_id, ImageKind.BANNER)
