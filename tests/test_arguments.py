"""What of a person's own words FFmpeg is told, and that none of it opens anything."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from brlib import media_filters
from brlib.arguments import TEXT_MAX, Arguments, read
from brlib.media_filters import PICTURE, SOUND

NEEDS_FFMPEG = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")

# Each is a run of FFmpeg.
TRIED = 6

LET_THROUGH = {
    "": Arguments(),
    "  \n ": Arguments(),
    "-preset slow -b:v 2.5M": Arguments(("-preset", "slow", "-b:v", "2.5M")),
    "-level:v 4.1": Arguments(("-level", "4.1")),
    "-tune film,zerolatency -aspect 16:9": Arguments(
        ("-tune", "film,zerolatency", "-aspect", "16:9")),
    "-vf scale=-2:720": Arguments(picture="scale=-2:720"),
    "-filter:v 'yadif, fps=30000/1001'": Arguments(picture="yadif, fps=30000/1001"),
    "-af loudnorm=I=-16:TP=-1.5 -ac 2": Arguments(("-ac", "2"), "", "loudnorm=I=-16:TP=-1.5"),
    '-filter:a "pan=stereo|FL<FL+0.5*FC|FR=FR"': Arguments(
        sound="pan=stereo|FL<FL+0.5*FC|FR=FR"),
}
PICTURES = (
    "bwdif=send_frame:-1:1", "colorbalance=rs=.3:pl=1", "crop=iw/2:ih/2", "crop=100:50:10:10",
    "crop=(in_w-20):in_h:x=10", "deband=r=16", "eq=contrast=1.2:brightness=-0.1",
    "format=yuv420p|yuv444p", "fps=25", "fps=60/1:round=down", "gradfun=2:8", "hflip",
    "hqdn3d=4:3:6:4", "hue=s=0", "hue=H=2*PI",
    "pad=ih*16/9:ih:(ow-iw)/2:(oh-ih)/2:black", "pad=w=400:h=200:color=#112233@0.5",
    "rotate=45*PI/180:ow=iw:oh=ih:c=black", "scale=640x360", "scale=hd720",
    "scale=trunc(iw/4)*2:-2:flags=lanczos+accurate_rnd", "setdar=16/9", "setsar=1",
    "transpose=clock:portrait", "unsharp=5:5:1.0:5:5:0.0", "vflip", "w3fdif", "yadif=1:-1:0",
)
SOUNDS = (
    "acompressor=threshold=0.1:ratio=4", "aformat=sample_rates=44100:channel_layouts=5.1|stereo",
    "agate=threshold=.1", "alimiter=limit=0.9:level=disabled", "aresample=44100",
    "aresample=async=1000:first_pts=0", "bass=g=5", "bass=1000:q:1:5",
    "compand=0.3|0.3:1|1:-90/-60|-60/-40|-40/-30|-20/-20:6:0:-90:0.2",
    "dynaudnorm=f=150:g=15", "equalizer=f=1000:t=q:w=1:g=-10", "highpass=f=200", "loudnorm",
    "loudnorm=-16:11:-1.5", "lowpass=3000", "pan=mono|c0=.5*c0+.5*c1",
    "speechnorm=e=6.25:r=0.00001:l=1", "treble=g=3", "volume=-3dB", "volume=.5:precision=fixed",
)
# Words that no encoding needs, and what is said of them.
REFUSED = {
    "-i /etc/passwd": "'-i' is none", "-i": "'-i' is none", "out.mp4": "may name no file",
    "-preset slow out.mp4": "may name no file", "-preset": "-preset needs a value",
    "-preset slow -vf": "-vf needs a value", "-y -preset slow": "'-y' is none",
    "-f tee": "-f is set by container", "-c:v copy": "is set by video_codec",
    "-acodec mp3": "is set by audio_codec", "-crf 20": "-crf is set by crf",
    "-hwaccel auto": "is set by hardware_acceleration", "-map 0": "'-map' is none",
    "-/vf /etc/passwd": "'-/vf' is none", "-/preset x": "'-/preset' is none",
    "-filter_complex movie=a": "is none", "-lavfi movie=a": "is none", "-vf:0 hflip": "is none",
    "-filter_script:v /etc/passwd": "is none", "-filter_complex_script a": "is none",
    "-x264-params stats=/tmp/a": "is none", "-x264opts stats=a": "is none",
    "-x265-params csv=a": "is none", "-svtav1-params stats=a": "is none", "-stats a": "is none",
    "-pass 1": "is none", "-passlogfile a": "is none", "-vstats_file a": "is none",
    "-report 1": "is none", "-progress tcp://127.0.0.1:9": "is none", "-attach a": "is none",
    "-dump_attachment a": "is none", "-fpre a": "is none", "-vpre a": "is none",
    "-pre a": "is none", "-sdp_file a": "is none", "-protocol_whitelist file": "is none",
    "-bsf:v dump_extra": "is none", "-t 1": "is none", "-ss 1": "is none", "-to 1": "is none",
    "-fs 1": "is none", "-frames:v 1": "is none", "-shortest 1": "is none", "-an 1": "is none",
    "-vn 1": "is none", "-itsoffset 1": "is none", "-stream_loop 1": "is none",
    "-metadata a=b": "is none", "-r 25": "is none", "-fpsmax 25": "is none",
    "-max_pixels 1": "is none", "-max_alloc 1": "is none", "-fps_mode drop": "is none",
    "\u2013preset slow": "may name no file", "-pres\u0435t slow": "is none",
    "-preset sl\u00f6w": "-preset cannot", "-b:v \u0663M": "-b:v cannot",
    "-preset a/b": "-preset cannot", "-preset ''": "-preset cannot",
    "-preset 'slow\n'": "-preset cannot", "-tune 'film\n'": "-tune cannot",
    "-preset -y": "-preset cannot", "-preset file:a": "-preset cannot",
    "-pix_fmt yuv420p -pix_fmt rgb24": "-pix_fmt stands twice",
    "-level 4 -level:v 5": "-level:v stands twice",
    "-vf hflip -filter:v vflip": "-filter:v stands twice: put the filters in one",
    "-af loudnorm -af loudnorm": "-af stands twice",
    "-preset 'slow": "cannot be read: No closing quotation", "-preset slow\\": "cannot be read",
    "-preset " + "x" * TEXT_MAX: f"must have at most {TEXT_MAX} characters",
    "-b:v 500M": "-b:v cannot", "-b:v -1": "-b:v cannot", "-b:v 1e9": "-b:v cannot",
    "-b:v 1G": "-b:v cannot", "-b:v k": "-b:v cannot", "-b:a 999999999M": "-b:a cannot",
    "-threads 999": "-threads cannot", "-refs 99999": "-refs cannot", "-bf 17": "-bf cannot",
    "-rc-lookahead 99999": "cannot", "-g 999999999": "-g cannot", "-ac 0": "-ac cannot",
    "-ac 64": "-ac cannot", "-ar 1": "-ar cannot", "-ar 999999": "-ar cannot",
    "-aspect 0:0": "-aspect cannot", "-aspect 1:0": "-aspect cannot",
}
REFUSED_PICTURES = (
    "", "=", ",", "hflip,", "hflip=", "hflip=1", "scale=", "scale=:", "scale=1:", "HFLIP",
    "movie=a", "movie=filename=a", "subtitles=a.srt", "ass=a", "lut3d=a.cube", "lut1d=a",
    "drawtext=textfile=a", "drawtext=text=a", "sendcmd=f=a", "sendcmd=c=a", "zmq", "azmq",
    "metadata=print:file=a", "frei0r=a", "vidstabdetect=result=a", "psnr=stats_file=a",
    "ssim=a", "signature=filename=a", "ocr", "dnn_processing=model=a", "coreimage", "nullsink",
    "setpts=2*PTS", "trim=0:1", "loop=-1", "reverse", "tpad=stop=-1", "select=0", "split",
    "framestep=2", "minterpolate", "zoompan", "tile", "thumbnail", "decimate", "freezedetect",
    "[0:v]hflip", "hflip[a]", "hflip;movie=a", "scale@a=1:1", "/scale=a", "scale=/w=a",
    "scale=w=/etc/passwd", "scale=/etc/passwd", "scale=file.txt", "scale='1':2", "scale=\\1:2",
    "scale=1\\:2", "scale=1\\,2", "scale=iw*while(1)", "scale=print(iw):1", "scale=st(0)",
    "scale=size=1x1", "scale=param0=1", "scale=flags=lanczo", "scale=w=1:2", "scale=w==1",
    "scale=w=h=1",
    "scale=w=1:nosuch=1", "scale=-2:720:lanczos:0:a:b:c:d:1", "scale=1:2:3:4:5:6:7:8:9:0:1:2:3",
    "scale=100000:100000", "scale=w=16000", "scale=1e5:1", "scale=1k:1", "scale=0xFFFFF:1",
    "scale=iwiw:1", "scale=" + "+".join(["1"] * 41), "scale=99999x99999", "pad=99999:1",
    "pad=1:1:0:0:a\u00e9", "pad=eval=frame", "crop=w=1:eval=1", "fps=100000", "fps=0",
    "fps=1/10", "fps=-1", "fps=25:0", "fps=25:start_time=9", "fps=25:eof_action=pass", "fps=1/0",
    "nlmeans", "hue=h=print(t)", "rotate=print(t)", "rotate=t", "setdar=4:3",
    "eq=eval=frame", "format=a/b", "hflip=enable=1", "hflip\n", "hflip\x00", "h\u0442flip",
    "transpose=dir=\u0661", "yadif=1,yadif=1", "volume=2",
)
REFUSED_SOUNDS = (
    "amovie=a", "loudnorm=stats_file=a", "loudnorm=print_format=json:stats_file=a",
    "loudnorm=-24:7:-2:0:0:9:-70:0:1:0:none:a.txt", "loudnorm=-24:7:-2:0:0:9:-70:0:1:0:none",
    "ladspa=file=a", "lv2=a", "sofalizer=sofa=a", "arnndn=m=a", "asendcmd=f=a", "afir", "asr",
    "ametadata=print:file=a", "astats", "atempo=2", "rubberband=2", "asetrate=1", "asetpts=0",
    "atrim=0:1", "aloop=-1", "apad", "areverse", "adelay=99999", "aecho", "silenceremove=1",
    "aresample=44100:filter_size=2000000000", "aresample=first_pts=99999999", "aresample=1",
    "aresample=resampler=a/b", "bass=b=32768", "equalizer=blocksize=32768", "dynaudnorm=f=8000",
    "dynaudnorm=g=301", "dynaudnorm=8000:301", "volume=print(t)", "volume=2:eval=frame",
    "compand=delay=99", "compand=points=/etc/passwd", "pan=stereo", "pan=stereo|c0=c0:a",
    "pan=stereo|c0=c0/c1", "pan=stereo|c0=" + "c" * 99, "aformat=cl=a/b", "hflip",
    ",".join(["bass"] * 17),
)


@pytest.mark.parametrize("text", LET_THROUGH)
def test_let_through(text: str) -> None:
    assert read(text) == LET_THROUGH[text]


def test_filters_let_through() -> None:
    for chain in PICTURES:
        assert read(f'-vf "{chain}"').picture == chain
    for chain in SOUNDS:
        if chain != "loudnorm=-16:11:-1.5":
            assert read(f'-af "{chain}"').sound == chain


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(REFUSED[text])):
        read(text)


def test_filters_refused() -> None:
    """By the reader of filters itself: what a shell's quotes let through does not matter here."""
    for chain in REFUSED_PICTURES:
        assert media_filters.problem(chain, PICTURE), chain
    for chain in REFUSED_SOUNDS:
        assert media_filters.problem(chain, SOUND), chain
    with pytest.raises(ValueError, match="^-vf cannot have that value for scale$"):
        read("-vf scale=100000:1")
    with pytest.raises(ValueError, match="^-af can use these filters: acompressor "):
        read("-af amovie=a")


@NEEDS_FFMPEG
def test_keys_stand_in_the_order_of_ffmpeg() -> None:
    """For a value without a key is held against the form of the key at its place."""
    run = subprocess.run(["ffmpeg", "-v", "error", "-h", "full"], capture_output=True, text=True,
                         timeout=60)
    rows: dict[str, str] = {}
    for part in re.split(r"^(?=\S+ AVOptions:$)", run.stdout, flags=re.MULTILINE):
        rows.update(dict.fromkeys(re.split(r"[/()]", part.partition(" AVOptions:")[0]), part))
    for name, keys in (*PICTURE.items(), *SOUND.items()):
        own = rows[name]
        order = re.findall(r"^ {2,4}([\w-]+) +<", own, re.MULTILINE)
        if name == "aresample":
            order += ["async", "first_pts", "resampler"]  # libswresample's, by name alone
        at = 0
        for key in keys:
            names = {"-"} if key.names == ("-",) else set(key.names)
            here = {order[at]} if names == {"-"} else set(order[at:at + len(names)])
            assert names in ({"-"}, here), (name, names, here)
            at += len(here)


HOSTILE = (
    "canary", "/etc/passwd", "file:canary", "tcp://127.0.0.1:9", "concat:canary|canary", "-i",
    "-y", "[in]", ";movie=canary", ",movie=canary", "':", "\\,", "=", ":", "|", "/", "/w=canary",
    "stats_file=canary", "print(1)", "%", "$(id)", "`id`", "..", "\n", "9" * 9, "-1", "\u0661",
    "*", "#", "@",
    "file=canary", "mode=canary", "0", "enable=1", " ", ",", "canary.txt", "\x00", "iw", "+", "<",
)
OPTIONS = ("-preset fast", "-tune film", "-b:v 300k", "-g 20", "-bf 2", "-level 4", "-threads 2",
           "-b:a 64k", "-ar 44100", "-ac 1", "-aspect 4:3", "-pix_fmt yuv444p", "-color_range tv")


def hostile(luck: random.Random) -> str:
    """Good words, many of them with something in them that should not be there."""
    words = luck.sample(OPTIONS, luck.randrange(3))
    for name, chains in (("-vf", PICTURES), ("-af", SOUNDS)):
        if luck.random() < 0.7:
            words.append(f'{name} "{",".join(luck.sample(chains, luck.randrange(1, 3)))}"')
    text = list(" ".join(words))
    for _ in range(luck.randrange(4)):
        at = luck.randrange(len(text) + 1)
        text[at:at + luck.randrange(4)] = luck.choice(HOSTILE)
    return "".join(text)


def opened(arguments: Arguments, directory: Path) -> tuple[int, set[str]]:
    """FFmpeg's exit code and what it opened, or connected to, outside of the system's own."""
    (directory / "canary").write_text("1")
    args = ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=s=96x64:d=0.2",
            "-f", "lavfi", "-i", "anullsrc=cl=stereo:d=0.2", "-c:v", "libx264", "-max_pixels",
            "1000000", *arguments.options]
    args += ["-vf", arguments.picture] if arguments.picture else []
    args += ["-af", arguments.sound] if arguments.sound else []
    trace = directory.parent / "trace"
    traced = ["strace", "-f", "-qq", "-e", "trace=open,openat,creat,connect,bind", "-o", str(trace)]
    run = subprocess.run([*(traced if shutil.which("strace") else ()), *args, "-f", "null", "-"],
                         cwd=directory, capture_output=True, timeout=60)
    found = {path.name for path in directory.iterdir()} - {"canary"}
    for line in trace.read_text().splitlines() if trace.exists() else ():
        path = line.partition('"')[2].partition('"')[0]
        if not path.startswith(("/usr/lib/", "/lib/", "/lib64/", "/etc/ld.so", "/proc/", "/sys/")):
            found.add(line.partition(" ")[2].strip())
    return run.returncode, found


@NEEDS_FFMPEG
def test_what_is_let_through_opens_nothing(tmp_path: Path) -> None:
    luck = random.Random(5)
    inside = tmp_path / "inside"
    inside.mkdir()
    plain = opened(Arguments(), inside)[1]
    tried = refused = worked = 0
    while tried < TRIED:
        text = hostile(luck)
        try:
            arguments = read(text)
        except ValueError:
            refused += 1
            continue
        tried += 1
        code, found = opened(arguments, inside)
        worked += code == 0
        assert found <= plain and code in (0, 1), text
    assert refused > TRIED // 2 and worked > TRIED // 3
