import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from etaeff.errors import DataError
from etaeff.report import write_audit
from etaeff.report._audit import EFFECTS, bars, coded

VOID = {"meta", "link", "col", "wbr"}


class Page(HTMLParser):
    """Tags, texts and attributes; fails where tags do not match."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag not in ("code", "a", "strong"):  # the others end a cell or a line
            self.text += " "

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    @property
    def flat(self):
        return " ".join(self.text.split())

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def own(effect, why, shape, group="other"):
    return {"shape": shape, "group": group, "effect": effect, "why": why}


def values(depth=3):
    rate, balance, act, nothing, *_ = EFFECTS
    parameters, blocks = {}, []
    for i in range(depth):
        name = f"layers.{i}.conv.weight"
        parameters[name] = own(rate, f"it feeds BatchNorm2d `layers.{i}.norm`.", [8, 4, 3, 3],
                               "scale-invariant")  # fmt: skip
        parameters[f"layers.{i}.conv.bias"] = own(nothing, "it has no effect.", [8], "inert")
        blocks.append({"names": [name], "axis": 0, "count": 8})
    parameters["norm.weight"] = own(balance, "its scale can move to `head.weight`.", [8])
    parameters["head.weight"] = own(balance, "its scale can move to `norm.weight`.", [2, 8])
    parameters["temperature"] = own(act, "no scaling of it.", [])
    shown = {"degree": "0", "proved": True, "defect": 2e-17, "own_defect": 3e-6}
    symmetries = [
        {"kind": "rescaling", "exponents": {"norm.weight": "1", "head.weight": "-1"}, **shown},
        *({"kind": "inert", "exponents": {f"layers.{i}.conv.bias": "1"}, **shown, "defect": None,
           "own_defect": None} for i in range(depth)),
    ]  # fmt: skip
    return {
        "model": "Net", "rank": 1 + depth, "symmetries": symmetries, "blocks": blocks,
        "parameters": parameters, "notes": ["No rule is known for `odd`: as said."],
    }  # fmt: skip


@pytest.fixture
def page(tmp_path):
    def make(given):
        path = write_audit(tmp_path / "audit.html", given)
        return path.read_text(encoding="utf-8")

    return make


def test_page_is_well_formed_and_loads_nothing(page):
    text = page(values())
    parsed = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    for _, attributes in parsed.tags:
        for name in {"src", "href", "data", "action", "srcset"} & attributes.keys():
            assert attributes[name].startswith(("#", "data:")), attributes
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    assert not parsed.all("script")
    assert not re.search(r"url\(|@import|https?:", text)
    (policy,) = [m["content"] for m in parsed.all("meta") if "http-equiv" in m]
    assert policy.startswith("default-src 'none'")


def test_links_lead_somewhere(page):
    parsed = Page(page(values()))
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {a["href"].removeprefix("#") for a in parsed.all("a")}
    targets |= {a["aria-labelledby"] for _, a in parsed.tags if "aria-labelledby" in a}
    assert targets <= set(ids)
    assert {"decay", "symmetries", "parameters", "notes", "effect-4"} <= targets


def test_page_can_be_read_by_all(page):
    parsed = Page(page(values()))
    assert parsed.all("html") == [{"lang": "en"}]
    assert all("scope" in heading for heading in parsed.all("th"))
    levels = [int(tag[1]) for tag, _ in parsed.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert "width=device-width" in str(parsed.all("meta"))


def test_page_says_what_the_audit_says(page):
    text = Page(page(values())).flat
    assert "11 parameters" not in text
    assert "9 parameters with 913 entries, and 4 independent ways to scale them" in text
    assert "3 blocks are scale-invariant, cut into 24 pieces" in text
    for effect, (_, meaning) in list(EFFECTS.items())[:4]:
        assert f"Decay {effect}" in text
        assert meaning in text
    assert "layers.*.conv.weight (3)" in text
    assert "each of 8 slices along axis 0 it feeds BatchNorm2d layers.*.norm." in text
    assert "rescaling some up, others down, and the outputs stay 1 1 2.0e-17 3.0e-06" in text
    assert "inert no effect at all 3 3 {0} {0}".format("\N{EN DASH}") in text
    assert "norm.weight against head.weight" in text
    assert "No rule is known for odd: as said." in text
    assert "temperature a number" in text


def test_every_parameter_has_its_line(page):
    given = values(40)
    text = Page(page(given)).flat
    section = text[text.index("All parameters", text.index("Those of several")) :]
    for name, parameter in given["parameters"].items():
        shape = " × ".join(map(str, parameter["shape"])) or "a number"
        assert f"{name} {shape} {parameter['effect']} " in section


def test_whatever_has_a_name_is_escaped(page):
    given = json.loads(json.dumps(values()).replace("head", "<b>&head"))
    given["model"] = "<script>alert(1)</script>"
    given["notes"] = ["`<i>`"]
    parsed = Page(page(given))
    assert not {"script", "b", "i"} & {tag for tag, _ in parsed.tags}
    assert "<script>alert(1)</script>" in parsed.text
    assert "<b>&head.weight" in parsed.text


def test_a_model_without_anything_has_a_page(page):
    empty = {"model": "ReLU", "rank": 0, "symmetries": [], "blocks": [], "parameters": {},
             "notes": []}  # fmt: skip
    text = Page(page(empty)).flat
    assert "0 parameters with 0 entries" in text
    assert "No parameter can be scaled without an effect on the outputs." in text
    assert "Notes" not in text


def test_values_of_something_else_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"^These are not the values of an audit: 'parameters' is"):
        write_audit(tmp_path / "audit.html", {})
    assert not (tmp_path / "audit.html").exists()


def test_the_same_values_give_the_same_page(page):
    assert page(values()) == page(json.loads(json.dumps(values())))


def test_bars_fill_the_width():
    from etaeff.records.audits import digest

    placed = bars(digest(values()))
    assert placed[0][1] == 0
    assert placed[-1][1] + placed[-1][2] == pytest.approx(100, abs=0.01)
    for (_, start, width), (_, following, _) in pairwise(placed):
        assert start + width == pytest.approx(following, abs=0.01)


def test_single_backticks_stay():
    assert coded("a ` b") == "a ` b"


def test_it_loads_no_torch(tmp_path):
    code = f"""
import json, sys
from pathlib import Path
from etaeff.report import write_audit
write_audit(Path({str(tmp_path / "a.html")!r}), json.loads({json.dumps(values())!r}))
print([m for m in ("torch", "polars", "matplotlib", "plotly") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
