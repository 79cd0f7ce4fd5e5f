"""The charts: well-formed SVG whose coordinates, texts and colors say what the data say."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewtag.experiments.plots import Bar, Line, bar_chart, decades, heat_map, line_chart
from fewtag.experiments.svg import COLORS, WIDTH, Scale, log_ticks, shortened, tick_text, ticks

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '<script>alert(1)</script> & "quotes"'


def _texts(svg: str) -> list[str]:
    return ["".join(each.itertext()) for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def _path(each: ElementTree.Element) -> list[tuple[float, float]]:
    numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", each.attrib["d"])]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_a_scale_by_hand() -> None:
    plain = Scale(0, 10, 100, 0)
    assert [plain(v) for v in (0, 2.5, 10, 99)] == [100, 75, 0, 0]  # what lies outside stops at the edge
    log = Scale(1, 100, 0, 100, log=True)
    assert [round(log(v)) for v in (1, 10, 100)] == [0, 50, 100]


@given(low=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6))
def test_ticks_are_round_few_and_inside(low: float, width: float) -> None:
    high = low + width
    found = ticks(low, high)
    assert 1 <= len(found) <= 6
    assert all(low - 1e-6 * width <= value <= high + 1e-6 * width for value in found)
    steps = {f"{b - a:.6e}" for a, b in pairwise(found)}
    assert all(re.match(r"[125]\.0000|9\.9999|1\.9999|4\.9999", step) for step in steps)


def test_ticks_by_hand() -> None:
    assert ticks(0, 100) == [0, 20, 40, 60, 80, 100]
    assert ticks(31.2, 78.4) == [40, 50, 60, 70]
    assert log_ticks(8, 600) == [10, 20, 50, 100, 200, 500]
    assert log_ticks(1, 1e6) == [1, 10, 100, 1e3, 1e4, 1e5, 1e6]
    assert [tick_text(v) for v in (0.05, 40.0, 1500.0, 2e6)] == ["0.05", "40", "1.5k", "2M"]


def test_names_too_long_are_shortened_by_columns_not_letters() -> None:
    assert shortened("name", 100) == "name"
    assert shortened("a name that is much too long", 60).endswith("…")
    assert len(shortened("很长的名字很长的名字", 60)) <= 6  # each of these is two columns wide


def test_a_line_chart_says_what_the_data_say() -> None:
    lines = [
        Line("en", [(0, 10.0), (10, 30.0)], band=[(0, 5.0, 15.0), (10, 25.0, 35.0)], dots=[(5, 20.0)]),
        Line("mean", [(0, 10.0), (5, 12.0), (10, 20.0)], strong=True, dashed_from=5),
    ]
    svg = line_chart(lines, title="T", description="D", x_label="step", y_label="F1", y_range=(0, 40), target=35)
    root = ElementTree.fromstring(svg)
    assert root.find(f"{SVG}title").text == "T" and root.find(f"{SVG}desc").text == "D"  # type: ignore[union-attr]
    named = root.attrib["aria-labelledby"].split()
    assert {root.find(f"{SVG}{tag}").attrib["id"] for tag in ("title", "desc")} == set(named)  # type: ignore[union-attr]
    assert {"step", "F1", "en", "mean", "target 35"} <= set(_texts(svg))
    own = [each for each in root.iter(f"{SVG}path") if each.attrib["stroke"] == COLORS[0]]
    (x1, y1), (x2, y2) = _path(own[0])
    zero, top = 22 + 190, 22  # of the plotting area
    assert (y1, y2) == (pytest.approx(zero - 190 * 10 / 40), pytest.approx(zero - 190 * 30 / 40)) and x2 > x1 and top < y2
    strong = [each for each in root.iter(f"{SVG}path") if each.attrib.get("stroke-width") == "2.5"]
    assert [("stroke-dasharray" in each.attrib, len(_path(each))) for each in strong] == [(False, 2), (True, 2)]
    (dot,) = root.iter(f"{SVG}circle")
    assert (float(dot.attrib["cx"]), float(dot.attrib["cy"])) == ((x1 + x2) / 2, pytest.approx((y1 + y2) / 2))


def test_lines_differ_in_more_than_color() -> None:
    svg = line_chart([Line(str(k), [(0, k), (1, k)]) for k in range(12)], title="T", description="D", x_label="x", y_label="y")
    looks = {
        (each.attrib["stroke"], each.attrib.get("stroke-dasharray"))
        for each in ElementTree.fromstring(svg).iter(f"{SVG}path")
        if each.attrib.get("stroke-width") == "1.6"
    }
    assert len(looks) == 12


def test_bars_are_as_long_as_their_values() -> None:
    bars = [Bar("de", 25.0, (20.0, 30.0)), Bar("en", 50.0), Bar("none", None), Bar("average", 37.5, strong=True)]
    svg = bar_chart(bars, title="T", description="D", x_label="F1", top=100)
    widths = [float(each.attrib["width"]) for each in ElementTree.fromstring(svg).iter(f"{SVG}rect")]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.02) and widths[2] == pytest.approx(1.5 * widths[0], abs=0.02)
    assert {"25.0", "50.0", "37.5", "-"} <= set(_texts(svg))


def test_a_heat_map_writes_percent_and_shades_by_value() -> None:
    values = [[0.8, 0.2], [0.0, None]]
    svg = heat_map(["a", "b"], ["a", "b"], values, title="T", description="D", row_label="gold", column_label="predicted")
    shown = [text for text in _texts(svg) if text.isdigit()]
    assert shown == ["80", "20"]
    boxes = ElementTree.fromstring(svg).iter(f"{SVG}rect")
    shades = [float(each.attrib["fill-opacity"]) for each in boxes if "fill-opacity" in each.attrib]
    assert shades == sorted(shades, reverse=True) and len(shades) == 2


def test_hostile_names_stay_text_and_inside() -> None:
    many = [HOSTILE * 3, *(f"label {k}" for k in range(20))]
    charts = [
        line_chart([Line(name, [(1, 2)]) for name in many], title=HOSTILE, description=HOSTILE, x_label=HOSTILE, y_label="y"),
        bar_chart([Bar(name, 1.0) for name in many], title=HOSTILE, description=HOSTILE, x_label=HOSTILE),
        heat_map(many, many, [[0.5] * 21] * 21, title=HOSTILE, description=HOSTILE, row_label=HOSTILE, column_label=HOSTILE),
    ]
    for svg in charts:
        root = ElementTree.fromstring(svg)
        assert not list(root.iter(f"{SVG}script")) and "<script" not in svg
        assert root.find(f"{SVG}title").text == HOSTILE  # type: ignore[union-attr]
        xs = [float(each.attrib[key]) for each in root.iter() for key in ("x", "x1", "x2", "cx") if key in each.attrib]
        assert min(xs) >= 0 and max(xs) <= WIDTH


def test_one_point_and_equal_values_draw() -> None:
    for points in ([(5, 50.0)], [(1, 3.0), (2, 3.0)], [(0, 0.0), (1, 0.0)]):
        svg = line_chart([Line("x", points)], title="T", description="D", x_label="x", y_label="y")
        assert "nan" not in svg.lower() and ElementTree.fromstring(svg) is not None


def test_a_logarithmic_axis_by_hand() -> None:
    """From 0.02 to 5 there are three whole decades, 0.01 to 10: each takes a third of the height."""
    line = Line("en", [(0, 0.02), (10, 0.1), (20, 5.0)])
    svg = line_chart([line], title="T", description="D", x_label="step", y_label="length", log_y=True)
    assert decades([0.02, 5.0]) == (0.01, 10.0) and decades([1.0, 1.0]) == (1.0, 10.0)
    (path,) = [each for each in ElementTree.fromstring(svg).iter(f"{SVG}path") if each.attrib["stroke"] == COLORS[0]]
    shares = [(22 + 190 - y) / 190 for _, y in _path(path)]
    assert shares == pytest.approx([math.log10(2) / 3, 1 / 3, (2 + math.log10(5)) / 3], abs=1e-3)
    assert [text for text in _texts(svg) if text in ("0.01", "0.1", "1", "10")][:4] == ["0.01", "0.1", "1", "10"]
