"""A table as a small SVG: one horizontal bar for each contestant of each case. Pure.

Plain text and rectangles, so that it is as readable in a diff as in a browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, LABEL_WIDTH, VALUE_WIDTH = 760, 300, 110
BAR_HEIGHT, BAR_APART, CASE_APART, TOP = 14, 19, 30, 48
FIRST_COLOUR, OTHER_COLOUR = "#2a6f97", "#a9b4bd"
STYLE = ("text { font: 12px sans-serif; fill: #333 } .title { font-size: 14px; "
         "font-weight: bold } .case { font-weight: bold } .range { stroke: #333 }")


@dataclass(frozen=True)
class Bar:
    """`shown` is the value as the table has it; `first`: the contestant others are held to."""

    label: str
    value: float
    least: float
    most: float
    shown: str
    first: bool


@dataclass(frozen=True)
class Group:
    case: str
    bars: Sequence[Bar]


def svg(title: str, groups: Sequence[Group]) -> str:
    """The drawing, with all bars on one scale that begins at 0."""
    longest = max((bar.most for group in groups for bar in group.bars), default=0.0)
    per_unit = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / longest if longest > 0 else 0.0
    lines, y = [_text(10, 22, title, "title")], TOP
    for group in groups:
        lines.append(_text(10, y, group.case, "case"))
        y += 8
        for bar in group.bars:
            lines += _bar(bar, y, per_unit)
            y += BAR_APART
        y += CASE_APART - BAR_APART + 8
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
            f'viewBox="0 0 {WIDTH} {y}" role="img">')
    return "\n".join([head, f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>",
                      f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>', *lines, "</svg>", ""])


def _bar(bar: Bar, y: int, per_unit: float) -> list[str]:
    length, middle = bar.value * per_unit, y + BAR_HEIGHT / 2
    colour = FIRST_COLOUR if bar.first else OTHER_COLOUR
    lines = [_text(24, y + 11, bar.label),
             f'<rect x="{LABEL_WIDTH}" y="{y}" width="{length:.1f}" height="{BAR_HEIGHT}" '
             f'fill="{colour}"/>']
    if bar.least < bar.most:
        lines.append(
            f'<line class="range" x1="{LABEL_WIDTH + bar.least * per_unit:.1f}" y1="{middle}" '
            f'x2="{LABEL_WIDTH + bar.most * per_unit:.1f}" y2="{middle}"/>')
    end = LABEL_WIDTH + max(bar.most, bar.value) * per_unit
    return [*lines, _text(int(end) + 6, y + 11, bar.shown)]


def _text(x: int, y: int, text: str, kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text{name} x="{x}" y="{y}">{escape(text)}</text>'
