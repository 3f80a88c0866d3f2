"""Which of FFmpeg's filters a person may use, and what their values may be. Pure.

Asked by `brlib.arguments`. A filter, a key or a value that is not in the tables is refused, and a
value without a key is held against the key whose place it takes: later versions of FFmpeg have
keys that write a file (loudnorm's `stats_file`). The numbers end where FFmpeg 5.1 takes memory
without measure or falls over. Left out for a reason: `blocksize`, which makes the sound longer,
and nlmeans, which takes days for an hour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

FILTERS_MAX = 16
_NUMBER = re.compile(r"-?([0-9]{1,9}(/[1-9][0-9]{0,6})?|[0-9]{0,9}\.[0-9]{1,6})")
_UNITS = {"k": 1000, "K": 1000, "M": 1_000_000}


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, also as a fraction (`30000/1001`) and, where it may have a
    `unit`, with k or M."""

    low: float
    high: float
    unit: bool = False

    def takes(self, text: str) -> bool:
        times = _UNITS.get(text[-1:], 1) if self.unit else 1
        digits = text if times == 1 else text[:-1]
        return (_NUMBER.fullmatch(digits) is not None
                and self.low <= Fraction(digits) * times <= self.high)


@dataclass(frozen=True)
class Form:
    """Whatever a regular expression takes whole."""

    pattern: str

    def takes(self, text: str) -> bool:
        return re.fullmatch(self.pattern, text) is not None


_FREE_NUMBER = r"-?(?:[0-9]{1,6}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})"
# Four digits: with more, one picture could take all memory before the encoder refuses it.
_TERM = (r"(?<![A-Za-z0-9_.])(?:[0-9]{1,4}(?:\.[0-9]{1,6})?|\.[0-9]{1,6}|%s)(?![A-Za-z0-9_.])"
         r"|[-+*/()]")
# Of a word that is none of these scale falls over (SIGSEGV), instead of saying so.
_SCALERS = ("fast_bilinear|bilinear|bicubic|neighbor|area|bicublin|gauss|sinc|lanczos|spline"
            "|accurate_rnd|full_chroma_int|full_chroma_inp|bitexact|error_diffusion")
_FORMS: dict[str, Range | Form] = {
    "word": Form(r"-1|[A-Za-z0-9_]{1,24}"),
    "list": Form(r"[A-Za-z0-9_.]{1,24}([|+][A-Za-z0-9_.]{1,24}){0,15}"),
    "scalers": Form(rf"({_SCALERS})(\+({_SCALERS})){{0,5}}"),
    "number": Form(_FREE_NUMBER),
    "numbers": Form(rf"{_FREE_NUMBER}([ |]{_FREE_NUMBER}){{0,15}}"),
    "points": Form(r"-?[0-9.]{1,8}/-?[0-9.]{1,8}([ |]-?[0-9.]{1,8}/-?[0-9.]{1,8}){0,31}"),
    "gain": Form(rf"{_FREE_NUMBER}(dB)?"),
    "colour": Form(r"([A-Za-z]{3,20}|(#|0x)[0-9A-Fa-f]{6,8})(@[01]?\.?[0-9]{1,4})?"),
    "angle": Form("(%s){1,30}" % (_TERM % "PI")),
    "size": Form("(%s){1,40}" % (_TERM % (
        "iw|ih|ow|oh|in_w|in_h|out_w|out_h|a|sar|dar|trunc|round|floor|ceil|x|y"))),
    # Also `640x360`, `hd720`.
    "width": Form("[1-9][0-9]{1,3}x[1-9][0-9]{1,3}|hd[0-9]{3,4}|(%s){1,40}" % (_TERM % (
        "iw|ih|ow|oh|in_w|in_h|out_w|out_h|a|sar|dar|trunc|round|floor|ceil"))),
}
_SHELF = ("f|frequency:0..96000 t|width_type:word w|width:0..99999 g|gain:-60..60 p|poles:1..2"
          " m|mix:0..1 c|channels:list n|normalize:word a|transform:word r|precision:word")
_PASS = _SHELF.replace(" g|gain:-60..60", "")
_FIELDS = "mode:word parity:word deint:word"
_RATIO = "r|ratio|dar:0..100"
# Keys in FFmpeg's order, for values that stand without one; `-` for a key that is left out.
_PICTURE = {
    "bwdif": _FIELDS,
    "colorbalance": " ".join(f"{part}{tone}:-1..1" for tone in "smh" for part in "rgb")
                    + " pl:word",
    "crop": "w|out_w:size h|out_h:size x:size y:size keep_aspect:word exact:word",
    "deband": "1thr:0.0001..0.5 2thr:0.0001..0.5 3thr:0.0001..0.5 4thr:0.0001..0.5"
              " r|range:-1000..1000 d|direction:-6.28..6.28 b|blur:word c|coupling:word",
    "eq": "contrast:-1000..1000 brightness:-1..1 saturation:0..3 gamma:0.1..10 gamma_r:0.1..10"
          " gamma_g:0.1..10 gamma_b:0.1..10 gamma_weight:0..1",
    "format": "pix_fmts:list",
    "fps": "fps:1..240 - round:word",
    "gradfun": "strength:0.51..64 radius:4..32",
    "hflip": "",
    "hqdn3d": "luma_spatial:0..1000 chroma_spatial:0..1000 luma_tmp:0..1000 chroma_tmp:0..1000",
    "hue": "h:number s:-10..10 H:angle b:-10..10",
    "pad": "w|width:size h|height:size x:size y:size color:colour - aspect:0.1..10",
    "rotate": "a|angle:angle ow|out_w:size oh|out_h:size c|fillcolor:colour bilinear:word",
    "scale": "w|width:width h|height:size flags:scalers interl:word in_color_matrix:word"
             " out_color_matrix:word in_range:word out_range:word - - - -"
             " force_original_aspect_ratio:word force_divisible_by:1..256",
    "setdar": _RATIO, "setsar": _RATIO.replace("dar", "sar"),
    "transpose": "dir:word passthrough:word",
    "unsharp": "lx|luma_msize_x:3..13 ly|luma_msize_y:3..13 la|luma_amount:-2..5"
               " cx|chroma_msize_x:3..13 cy|chroma_msize_y:3..13 ca|chroma_amount:-2..5",
    "vflip": "",
    "w3fdif": f"filter:word {_FIELDS}",
    "yadif": _FIELDS,
}
_SOUND = {
    "acompressor": "level_in:0.016..64 mode:word threshold:0.001..1 ratio:1..20 attack:0.01..2000"
                   " release:0.01..9000 makeup:1..64 knee:1..8 link:word detection:word"
                   " level_sc:0.016..64 mix:0..1",
    "aformat": "f|sample_fmts:list r|sample_rates:list cl|channel_layouts:list",
    "agate": "level_in:0.016..64 mode:word range:0..1 threshold:0..1 ratio:1..9000"
             " attack:0.01..9000 release:0.01..9000 makeup:1..64 knee:1..8 detection:word"
             " link:word level_sc:0.016..64",
    "alimiter": "level_in:0.016..64 level_out:0.016..64 limit:0.07..1 attack:0.1..80"
                " release:1..8000 asc:word asc_level:0..1 level:word",
    "aresample": "sample_rate:8000..192000 async:0..192000 first_pts:0..0 resampler:word",
    "bass": _SHELF,
    "compand": "attacks:numbers decays:numbers points:points soft-knee:0.01..900"
               " gain:-60..60 volume:-900..0 delay:0..20",
    "dynaudnorm": "f|framelen:10..1000 g|gausssize:3..61 p|peak:0..1 m|maxgain:1..100"
                  " r|targetrms:0..1 n|coupling:word c|correctdc:word b|altboundary:word"
                  " s|compress:0..30 t|threshold:0..1 h|channels:list o|overlap:0..0.9",
    "equalizer": "f|frequency:0..96000 t|width_type:word w|width:0..99999 g|gain:-60..60"
                 " m|mix:0..1 c|channels:list n|normalize:word a|transform:word"
                 " r|precision:word",
    "highpass": _PASS,
    "loudnorm": "I|i:-70..-5 LRA|lra:1..50 TP|tp:-9..0 measured_I|measured_i:-99..0"
                " measured_LRA|measured_lra:0..99 measured_TP|measured_tp:-99..99"
                " measured_thresh:-99..0 offset:-99..99 linear:word dual_mono:word",
    "lowpass": _PASS,
    "speechnorm": "p|peak:0..1 e|expansion:1..50 c|compression:1..50 t|threshold:0..1 r|raise:0..1"
                  " f|fall:0..1 h|channels:list i|invert:word l|link:word",
    "treble": _SHELF,
    "volume": "volume:gain precision:word",
}
_PAN = Form(r"[A-Za-z0-9.]{1,20}(\|[A-Za-z0-9]{1,5} ?[=<][A-Za-z0-9.*+ -]{1,80}){1,16}")


@dataclass(frozen=True)
class _Key:
    names: tuple[str, ...]
    form: Range | Form


def _keys(row: str) -> tuple[_Key, ...]:
    found = []
    for item in row.split():
        names, _, form = item.partition(":")
        low, is_range, high = form.partition("..")
        found.append(_Key(
            tuple(names.split("|")),
            Range(float(low), float(high)) if is_range else _FORMS[form or "word"]))
    return tuple(found)


PICTURE = {name: _keys(row) for name, row in _PICTURE.items()}
SOUND = {**{name: _keys(row) for name, row in _SOUND.items()},
         "pan": (_Key(("args",), _PAN),)}


def problem(chain: str, known: dict[str, tuple[_Key, ...]]) -> str | None:
    """What is wrong with filters that are joined by commas; None: nothing is."""
    filters = chain.split(",")
    if len(filters) > FILTERS_MAX:
        return f"can have at most {FILTERS_MAX} filters"
    seen: set[str] = set()
    for one in filters:
        name, sign, rest = one.strip(" ").partition("=")
        if name not in known:
            return "can use these filters: " + " ".join(sorted(known))
        # Each yadif=1 doubles the frames, so that ten of them make a thousand of one.
        if known is PICTURE and name in seen:
            return f"can use {name} once"
        seen.add(name)
        if sign and not _fits(rest, known[name], whole=name == "pan"):
            return f"cannot have that value for {name}"
    return None


def _fits(values: str, keys: tuple[_Key, ...], whole: bool) -> bool:
    if whole:
        return keys[0].form.takes(values)
    by_name = {name: key for key in keys for name in key.names if name != "-"}
    named = False
    for place, item in enumerate(values.split(":")):
        name, has_name, value = item.rpartition("=")
        named = named or bool(has_name)
        if named:
            key = by_name.get(name)
        else:
            key = keys[place] if place < len(keys) and keys[place].names != ("-",) else None
        if key is None or not key.form.takes(value):
            return False
    return True
