"""Results in a terminal and in a notebook."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.drawing import forest
from stratagem.decomposition.headroom import headroom
from stratagem.decomposition.path import path
from stratagem.records import Estimate
from tests.decomposition.tables import two


def picture(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(html[: html.index("<details>")])


def test_places_on_the_axis_are_in_proportion():
    rows = [
        ("gain", Estimate(0.1, 0.0, 0.2, 0.05, 9)),
        ("bound", Estimate(math.nan, -0.2, 0.4, 0.1, 9, (-0.1, 0.3))),
    ]
    root = picture(forest(rows, "<two> terms", "a < b"))
    space = "{http://www.w3.org/2000/svg}"
    lines = [one.attrib for one in root.iter(f"{space}line")]
    zero, gain, reach, bar = ([float(one["x1"]), float(one["x2"])] for one in lines)
    left, right = reach
    unit = (right - left) / 0.6  # the interval of the bound is as wide as the axis
    assert (right - zero[0]) / unit == pytest.approx(0.4, abs=0.002)
    assert [(x - zero[0]) / unit for x in (*gain, *bar)] == pytest.approx([0.0, 0.2, -0.1, 0.3], abs=0.002)
    (dot,) = root.iter(f"{space}circle")
    assert (float(dot.attrib["cx"]) - zero[0]) / unit == pytest.approx(0.1, abs=0.002)
    texts = "".join(root.itertext())
    assert "<two> terms" in texts
    assert "[-10.0, +30.0]  (-20.0 to +40.0)" in texts


def test_results_print_and_draw_themselves():
    before, after = two(1, problems=60)
    rng = np.random.default_rng(0)
    for found, expected in (
        (decompose(before, after, rng=rng, draws=100), ["gain", "selection", "improvement", "new strategy"]),
        (headroom(before, rng=rng, draws=100), ["by selection", "by improvement"]),
        (
            path([before, after, before], rng=rng, draws=100, names=["base", "sft", "rl"]),
            ["selection, base to sft", "improvement, sft to rl", "selection, base to rl"],
        ),
    ):
        html = found._repr_html_()
        texts = [one.text for one in picture(html).iter() if one.text]
        assert [name for name in expected if name not in texts] == []
        assert len(str(found).splitlines()) > 2
        assert not re.search(r"nan|Estimate\(", html + str(found))
