"""The stand-in's YouTube: pages, the player's API, playlists, consent and the Data API.

Owns the channels and what of them is live, as streamlink's plugin and yt-dlp ask for it.
`tests/test_youtube.py` and the black-box tests change it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.standin.base import Reply, Request, StandIn

SITE = "www.youtube.com"
CONSENT = "consent.youtube.com"
DATA_API = "www.googleapis.com"
MANIFESTS = "manifest.googlevideo.com"
PAGE_TYPE = "text/html; charset=utf-8"
STARTED = "2026-03-04T05:06:07+00:00"
# Where playlists lead for their media: `StandIn.forward(port, MEDIA)`.
MEDIA = "rr1---sn-standin.googlevideo.com"
# itag → (height, frames per second, the Origin's variant)
VARIANTS = {301: (1080, 60, "1080p60"), 95: (720, 30, "720p"), 93: (360, 30, "360p")}
# What a player says to those who may not see a video.
REFUSALS: dict[str, tuple[str, str]] = {
    "members": ("UNPLAYABLE", "Join this channel to get access to members-only content like this "
                              "video, and other exclusive perks."),
    "age": ("LOGIN_REQUIRED", "Sign in to confirm your age"),
    "private": ("LOGIN_REQUIRED", "This is a private video."),
    "bot": ("LOGIN_REQUIRED", "Sign in to confirm you\u2019re not a bot"),
    "limited": ("ERROR", "This content isn\u2019t available, try again later."),
    "strange": ("UNPLAYABLE", "The moon is in the way"),
}


@dataclass
class Video:
    """`state`: live, upcoming or ended. `refusal`: a key of REFUSALS, or none."""

    id: str
    title: str = "Endgames"
    state: str = "live"
    refusal: str | None = None
    viewers: int | None = 1234
    starts: str = STARTED

    @property
    def live(self) -> bool:
        return self.state == "live"


@dataclass
class YouTubeChannel:
    id: str
    handle: str
    title: str
    video: Video | None = None


@dataclass
class YouTubeHost:
    """`for_plugin` is whether the player's API gives streamlink's client anything; `consent`
    asks visitors without the SOCS cookie first; `member` is the SAPISID of an account that
    may see everything."""

    channels: dict[str, YouTubeChannel] = field(default_factory=dict)
    for_plugin: bool = True
    consent: bool = False
    member: str = "member-sapisid"
    api_key: str = "AIza-data-api-key"
    units: int = 10_000
    # How many masters were given, and which of their playlists have expired by now.
    issued: int = 0
    expired: int = 0

    def join(self, standin: StandIn) -> None:
        """Answer for all of YouTube's names but MEDIA."""
        standin.add(self.answer, SITE, CONSENT, DATA_API, MANIFESTS)

    def add(self, handle: str, video: Video | None = None) -> YouTubeChannel:
        """`handle` with its @."""
        number = len(self.channels)
        channel = YouTubeChannel(f"UC{number:022d}", handle, handle[1:].title(), video)
        self.channels[handle] = channel
        return channel

    def answer(self, request: Request) -> Reply | None:
        if request.host == CONSENT:
            return self._consent(request)
        if request.host == DATA_API:
            return self._data_api(request)
        if request.host == MANIFESTS:
            return self._playlist(request)
        if request.path == "/youtubei/v1/player":
            return self._player(request)
        if self.consent and "SOCS" not in request.headers.get("Cookie", ""):
            where = f"https://{CONSENT}/m?continue={request.path}"
            return Reply(302, headers={"Location": where})
        return self._page(request)

    def _page(self, request: Request) -> Reply | None:
        if request.path == "/watch":
            video = self._video(request.query.get("v"))
            return self._watch(video, request) if video else None
        if request.path.startswith("/embed/"):
            # The page of the client that yt-dlp takes for accounts.
            config = {"INNERTUBE_CONTEXT": {"client": {"clientName": "WEB_EMBEDDED_PLAYER"}}}
            return Reply(200, f"<script>ytcfg.set({json.dumps(config)});</script>".encode(),
                         PAGE_TYPE)
        name, _, tab = request.path.strip("/").removeprefix("channel/").partition("/")
        channel = next(
            (one for one in self.channels.values() if name in (one.handle, one.id)), None)
        if channel is None:
            return Reply(404, b"<html><title>404 Not Found</title></html>", PAGE_TYPE)
        if tab == "live" and channel.video is not None:
            return self._watch(channel.video, request)
        return _html(f"https://{SITE}/channel/{channel.id}", None, _about(channel))

    def _watch(self, video: Video, request: Request) -> Reply:
        player = self._response(video, self._may_see(video, request.headers.get("Cookie", "")))
        return _html(f"https://{SITE}/watch?v={video.id}", player, _watching(video))

    def _player(self, request: Request) -> Reply | None:
        asked = request.json()
        video = self._video(asked.get("videoId"))
        if video is None:
            return None
        client = asked["context"]["client"]["clientName"]
        if client == "ANDROID" and (not self.for_plugin or video.refusal):
            return Reply.json({"playabilityStatus": {
                "status": "LOGIN_REQUIRED", "reason": "Please sign in"}})
        cookies = request.headers.get("Cookie", "")
        return Reply.json(self._response(video, self._may_see(video, cookies)))

    def _response(self, video: Video, visible: bool) -> dict[str, Any]:
        channel = next(one for one in self.channels.values() if one.video is video)
        status: dict[str, Any] = {"status": "OK"}
        if not visible:
            code, reason = REFUSALS[video.refusal or ""]
            status = {"status": code, "reason": reason}
        elif video.state == "upcoming":
            status = {"status": "LIVE_STREAM_OFFLINE", "reason": "This live event will begin in 3 "
                                                                 "hours."}
        details = {
            "videoId": video.id, "title": video.title, "author": channel.title,
            "channelId": channel.id, "isLiveContent": True, "viewCount": "99999",
            "thumbnail": {"thumbnails": [{"url": f"https://i.ytimg.com/vi/{video.id}/live.jpg"}]}}
        if video.live:
            details["isLive"] = True
        if video.state == "upcoming":
            details["isUpcoming"] = True
        response = {
            "playabilityStatus": status, "videoDetails": details,
            "microformat": {"playerMicroformatRenderer": {
                "category": "Gaming", "liveBroadcastDetails": {
                    "isLiveNow": video.live, "startTimestamp": video.starts}}}}
        if visible and video.live:
            response["streamingData"] = {
                "hlsManifestUrl": f"https://{MANIFESTS}/api/manifest/hls_variant/index.m3u8"}
        return response

    def _may_see(self, video: Video, cookies: str) -> bool:
        member = f"SAPISID={self.member}" in cookies
        return video.refusal is None or member and video.refusal in ("members", "age", "private")

    def _video(self, video_id: str | None) -> Video | None:
        return next((one.video for one in self.channels.values()
                     if one.video is not None and one.video.id == video_id), None)

    def _playlist(self, request: Request) -> Reply | None:
        if request.path.endswith("/hls_variant/index.m3u8"):
            self.issued += 1
            return Reply(200, _master(self.issued).encode(), "application/vnd.apple.mpegurl")
        found = re.search(r"/epoch/(\d+)/itag/(\d+)/", request.path)
        if found is None or int(found[2]) not in VARIANTS:
            return None
        if int(found[1]) <= self.expired:
            return Reply(403)
        variant = VARIANTS[int(found[2])][2]
        return Reply(302, headers={"Location": f"https://{MEDIA}/{variant}/live.m3u8"})

    def _consent(self, request: Request) -> Reply:
        if request.method == "POST" and request.form().get("set_ytc") == "true":
            return Reply(303, headers={
                "Location": f"https://{SITE}{request.form()['continue']}",
                "Set-Cookie": "SOCS=CAE; Domain=.youtube.com; Path=/; Secure"})
        form = ('<form action="https://{host}/save" method="POST">{field}<input type="hidden" '
                'name="continue" value="{path}"><button>{word}</button></form>')
        path = request.query.get("continue", "/")
        body = form.format(host=CONSENT, field="", path=path, word="Reject") + form.format(
            host=CONSENT, path=path, word="Accept",
            field='<input type="hidden" name="set_ytc" value="true">')
        return Reply(200, f"<html><body>{body}</body></html>".encode(), PAGE_TYPE)

    def _data_api(self, request: Request) -> Reply | None:
        if request.path != "/youtube/v3/videos":
            return None
        if request.headers.get("X-Goog-Api-Key") != self.api_key:
            return _api_error(400, "badRequest", "API key not valid. Please pass a valid API key.")
        if self.units <= 0:
            return _api_error(403, "quotaExceeded", "The request cannot be completed.")
        self.units -= 1
        ids = request.query["id"].split(",")
        return Reply.json({"items": [
            _item(one) for one in self.channels.values() if one.video and one.video.id in ids]})


def _master(epoch: int) -> str:
    lines = ["#EXTM3U"]
    for itag, (height, fps, _) in VARIANTS.items():
        lines += [f'#EXT-X-STREAM-INF:BANDWIDTH={height * 5000},CODECS="avc1.64002a,mp4a.40.2",'
                  f"RESOLUTION={height * 16 // 9}x{height},FRAME-RATE={fps}",
                  f"https://{MANIFESTS}/api/manifest/hls_playlist/epoch/{epoch}/itag/{itag}"
                  "/playlist/index.m3u8"]
    return "\n".join(lines) + "\n"


def _html(canonical: str, player: Any, data: Any) -> Reply:
    script = "" if player is None else (
        f"<script>var ytInitialPlayerResponse = {json.dumps(player)};var meta = 1;</script>")
    return Reply(200, (
        f'<html><head><link rel="canonical" href="{canonical}"></head><body>{script}'
        f"<script>var ytInitialData = {json.dumps(data)};</script></body></html>"
    ).encode(), PAGE_TYPE)


def _watching(video: Video) -> dict[str, Any]:
    shown = {} if video.viewers is None or not video.live else {"videoViewCountRenderer": {
        "isLive": True, "viewCount": {"runs": [
            {"text": f"{video.viewers:,}"}, {"text": " watching now"}]}}}
    return {"currentVideoEndpoint": {"watchEndpoint": {"videoId": video.id}},
            "contents": {"twoColumnWatchNextResults": {"results": {"results": {"contents": [
                {"videoPrimaryInfoRenderer": {"viewCount": shown}}]}}}}}


def _about(channel: YouTubeChannel) -> dict[str, Any]:
    image = "https://yt3.googleusercontent.com"
    return {
        "metadata": {"channelMetadataRenderer": {
            "title": channel.title, "externalId": channel.id, "description": "",
            "avatar": {"thumbnails": [{"url": f"{image}/avatar=s900-c-k-c0x00ffffff-no-rj"}]}}},
        "header": {"pageHeaderRenderer": {"content": {"pageHeaderViewModel": {"banner": {
            "imageBannerViewModel": {"image": {"sources": [
                {"url": f"{image}/banner=w1060-fcrop64=1,0-k"},
                {"url": f"{image}/banner=w2560-fcrop64=1,0-k"}]}}}}}}},
        "contents": {"twoColumnBrowseResultsRenderer": {"tabs": [{"tabRenderer": {
            "selected": True, "title": "Home", "endpoint": {"commandMetadata": {
                "webCommandMetadata": {"url": f"/{channel.handle}"}}}}}]}}}


def _item(channel: YouTubeChannel) -> dict[str, Any]:
    video = channel.video
    assert video is not None
    said = {"live": "live", "upcoming": "upcoming", "ended": "none"}[video.state]
    times = {"actualStartTime": "2026-03-04T05:06:08Z"} if video.state != "upcoming" else {}
    if video.viewers is not None and video.live:
        times["concurrentViewers"] = str(video.viewers)
    return {
        "id": video.id, "liveStreamingDetails": times, "snippet": {
            "liveBroadcastContent": said, "title": video.title, "channelTitle": channel.title,
            "thumbnails": {"high": {"url": f"https://i.ytimg.com/vi/{video.id}/high.jpg"}}}}


def _api_error(status: int, reason: str, message: str) -> Reply:
    return Reply.json({"error": {
        "code": status, "message": message, "errors": [{"reason": reason}]}}, status)
