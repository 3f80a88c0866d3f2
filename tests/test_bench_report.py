"""What the bench makes of its figures: medians, ratios, Markdown, a drawing that is XML."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import chart, machine, report, run
from bench.base import Figure, Round, Table

from .daemon import ROOT

FIGURES = [
    Figure("outage", "Battles Record", "frames", 100.0, "%", True),
    Figure("outage", "Battles Record", "gaps", 0, "", True),
    Figure("outage", "a | b <c>", "frames", 20.0, "%", False),
    Figure("outage", "a | b <c>", "gaps", 3, "", False),
    Figure("quiet", "Battles Record", "start", 0.5, "s"),
    Figure("outage", "Battles Record", "frames", 100.0, "%", True),
    Figure("outage", "a | b <c>", "frames", 60.0, "%", False),
    Figure("outage", "a | b <c>", "frames", 25.0, "%", False),
    Figure("quiet", "Battles Record", "start", 0.7, "s"),
]
TABLE = Table("sample", "A sample & more", "none", 3, lambda one: [], "frames", "A note.")


def test_rows_have_medians_and_ratios() -> None:
    ours, other, quiet = report.rows(FIGURES)
    assert (ours.case, ours.contestant, ours.complete) == ("outage", "Battles Record", True)
    assert ours.cells["frames"].ratio is None
    cell = other.cells["frames"]
    assert (cell.median, cell.least, cell.most, cell.ratio) == (25.0, 20.0, 60.0, 0.25)
    assert other.cells["gaps"].ratio is None  # of 0
    assert other.complete is False
    assert quiet.complete is None
    assert quiet.cells["start"].median == pytest.approx(0.6)


def test_one_incomplete_round_is_enough() -> None:
    bad = Figure("outage", "Battles Record", "frames", 99.999, "%", False)
    assert report.rows([*FIGURES, bad])[0].complete is False


@pytest.mark.parametrize("value, words", [
    (0, "0 %"), (100.0, "100 %"), (99.999, "99.99 %"), (99.0, "99 %"), (12.345, "12.3 %"),
    (0.4321, "0.43 %"), (123456.7, "123457 %"), (10, "10 %"), (200, "200 %"), (-3.0, "-3 %"),
])
def test_numbers_read_well(value: float, words: str) -> None:
    assert report.shown(value, "%") == words


def test_text_stands_in_columns() -> None:
    lines = report.text(FIGURES).splitlines()
    assert lines[0].split() == ["case", "contestant", "frames", "gaps", "start", "complete"]
    assert "25 % (20–60) ×0.25" in lines[2]
    assert lines[1].index("100 %") == lines[2].index("25 %") == lines[0].index("frames")


def test_markdown_names_command_and_machine() -> None:
    words = report.markdown(TABLE, FIGURES, "python bench/run.py sample", "2026-01-02", 3,
                            {"CPU": "x", "commit": "abc"})
    assert words.startswith("## A sample & more\n\nGoals: none\n")
    assert "`python bench/run.py sample` on 2026-01-02, 3 rounds." in words
    assert "A note." in words and "CPU x, commit abc" in words
    body = [line for line in words.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in body}) == 1


def test_drawing_is_xml_with_a_bar_for_each_contestant() -> None:
    root = ElementTree.fromstring(chart.svg("A <b> & c", report.groups(TABLE, FIGURES)))
    space = "{http://www.w3.org/2000/svg}"
    words = [text.text for text in root.iter(f"{space}text")]
    assert words == ["A <b> & c", "outage", "Battles Record", "100 %", "a | b <c>", "25 %"]
    widths = [float(bar.get("width", "")) for bar in root.iter(f"{space}rect")][1:]
    assert widths[1] / widths[0] == pytest.approx(0.25, abs=0.01)
    assert len(list(root.iter(f"{space}line"))) == 1


def test_drawing_of_nothing_is_xml() -> None:
    ElementTree.fromstring(chart.svg("empty", []))
    bar = chart.Bar("a", 0.0, 0.0, 0.0, "0", True)
    ElementTree.fromstring(chart.svg("zero", [chart.Group("case", [bar])]))


def test_page_joins_all_tables_in_order(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    for name in ("another", "cost", "complete"):
        (results / f"{name}.md").write_text(f"## {name}\n\n![{name}]({name}.svg)\n")
    report.join(results, tmp_path / "RESULTS.md", run.write)
    page = (tmp_path / "RESULTS.md").read_text()
    places = [page.index(f"](results/{name}.svg)") for name in ("complete", "cost", "another")]
    assert places == sorted(places)


def test_rounds_have_an_empty_directory_each(tmp_path: Path) -> None:
    seen = []

    def one(this: Round) -> list[Figure]:
        assert not list(this.scratch.iterdir())
        (this.scratch / "file").write_text("x")
        seen.append((this.number, this.quick))
        return [Figure("c", "Battles Record", "w", this.number, "")]

    table = Table("sample", "t", "g", 2, one, "w")
    found = run.measure(table, 2, True, tmp_path)
    assert [[f.value for f in figures] for figures in found] == [[1], [2]]
    assert seen == [(1, True), (2, True)] and not list(tmp_path.iterdir())


def test_results_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(run, "PAGE", tmp_path / "RESULTS.md")
    run.keep(TABLE, [FIGURES], "python bench/run.py sample", {"CPU": "x"})
    raw = json.loads((tmp_path / "results" / "sample.json").read_text())
    assert [Figure(**one) for one in raw["rounds"][0]] == FIGURES
    ElementTree.parse(tmp_path / "results" / "sample.svg")
    assert "results/sample.svg" in (tmp_path / "RESULTS.md").read_text()


def test_machine_is_described() -> None:
    facts = machine.described()
    assert {"CPU", "cores", "memory", "kernel", "Python", "FFmpeg", "SQLite", "streamlink",
            "yt-dlp", "gunicorn", "commit"} <= set(facts)
    assert all(facts.values())


def test_command_lists_the_tables() -> None:
    done = subprocess.run([sys.executable, "bench/run.py"], cwd=ROOT, capture_output=True,
                          text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in run.names())
