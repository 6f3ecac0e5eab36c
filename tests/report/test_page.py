import base64
import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from etaeff.report._figures import PLOTS, Drawing
from etaeff.report._page import counts, groups, maths, overall, page

VOID = {"meta", "link", "img", "br", "col"}
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
LOADS = {"src", "href", "data", "action", "poster", "srcset", "background"}


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

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def drawings(drawn=99):
    return [
        Drawing(plot, SVG, b"", f"Seen in {plot.name}.") if i < drawn else Drawing(plot)
        for i, plot in enumerate(PLOTS)
    ]


@pytest.fixture
def frames(make):
    parts = [make.finding(part=f"part {v}", verdict=v) for v in ("holds", "undecided")]
    claims = [
        make.claim(*parts, verdict="undecided"),
        make.claim(number=2, title="Another", statement="η_eff goes as λ^½."),
    ]
    return make.frames([make.trial()], *claims)


def test_page_is_well_formed_and_loads_nothing(frames):
    text = page(frames, drawings())
    parsed = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    for _, attributes in parsed.tags:
        for name in LOADS & attributes.keys():
            assert attributes[name].startswith(("#", "data:")), attributes
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    assert not parsed.all("script")
    assert not re.search(r"url\(|@import", text)
    (policy,) = [m["content"] for m in parsed.all("meta") if "http-equiv" in m]
    assert policy.startswith("default-src 'none'")


def test_links_lead_somewhere(frames):
    parsed = Page(page(frames, drawings()))
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {a["href"].removeprefix("#") for a in parsed.all("a")}
    targets |= {attributes.get("aria-labelledby", "claims") for _, attributes in parsed.tags}
    assert targets <= set(ids)
    assert {"claim-1", "claim-2"} <= targets


def test_page_can_be_read_by_all(frames):
    parsed = Page(page(frames, drawings()))
    assert parsed.all("html") == [{"lang": "en"}]
    assert all(image["alt"].strip() for image in parsed.all("img"))
    assert all("scope" in heading for heading in parsed.all("th"))
    levels = [int(tag[1]) for tag, _ in parsed.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert "width=device-width" in str(parsed.all("meta"))


def test_figures_are_inside(frames):
    images = Page(page(frames, drawings())).all("img")
    assert len(images) == len(PLOTS)
    kind, content = images[0]["src"].split(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(content) == SVG


def test_figure_without_rows_is_left_out_with_a_sentence(frames):
    parsed = Page(page(frames, drawings(2)))
    assert len(parsed.all("img")) == 2
    for plot in PLOTS[2:]:
        assert f"Left out: “{plot.title}”, because {plot.absent}." in parsed.text


def test_captions_say_what_was_seen_and_of_which_claim(frames):
    parsed = Page(page(frames, drawings()))
    for i, plot in enumerate(PLOTS, 1):
        assert f"Figure {i}. {plot.title}." in parsed.text
        assert f"Seen in {plot.name}." in parsed.text
    assert "See claim 1 (1 of 2 parts hold, 1 is undecided) and claim" not in parsed.text
    assert "See claim 1 (1 of 2 parts hold, 1 is undecided)." in parsed.text


@pytest.mark.parametrize("note", ["", "JPEG-recompressed <images>"])
def test_note_on_the_data_stands_at_every_figure(frames, note):
    noted = replace(frames, specification={**frames.specification, "data note": note})
    parsed = Page(page(noted, drawings(3)))
    if note:
        assert parsed.text.count(note) == 4  # and once on top
    else:
        assert "About the data" not in parsed.text


HOSTILE = "<script>alert('x')</script> & \"quoted\""


@pytest.mark.parametrize("field", ["title", "statement", "source"])
def test_text_of_claims_is_escaped(make, field):
    text = page(make.frames([make.trial()], make.claim(**{field: HOSTILE})), [])
    assert HOSTILE in Page(text).text
    assert "<script" not in text


@pytest.mark.parametrize("verdict", ["holds", "does not hold", "undecided"])
@pytest.mark.parametrize("field", ["part", "statistic", "unit", "note"])
def test_text_of_parts_is_escaped(make, field, verdict):
    finding = make.finding(**{field: HOSTILE}, verdict=verdict)
    text = page(make.frames([make.trial()], make.claim(finding, verdict=verdict)), [])
    assert HOSTILE in Page(text).text
    assert escape("<script>") in text
    assert "<script" not in text


def test_specification_and_sessions_are_escaped(make):
    frames = make.frames([make.trial()], **{"study": HOSTILE, "data": HOSTILE, HOSTILE: 1})
    frames.sessions.append({"processor": HOSTILE, HOSTILE: 2})
    text = page(frames, [])
    assert Page(text).text.count(HOSTILE) >= 5
    assert "<script" not in text


def test_every_part_is_there_with_its_numbers(make):
    parts = [
        make.finding(part="first", estimate=0.123, low=0.11, high=0.135, note="A remark."),
        make.finding(part="second", expected_low=1.0, expected_high=None, verdict="does not hold"),
        make.finding(part="third", estimate=None, low=None, high=None, verdict="undecided"),
    ]
    text = Page(page(make.frames([make.trial()], make.claim(*parts)), [])).text
    for words in ("first", "0.123", "(0.11 to 0.135)", "0.2 to 0.3", "A remark.", "3, 12",
                  "second", "at least 1", "third", "not known", "(no interval)"):  # fmt: skip
        assert words in text
    assert "nan" not in text
    assert "None" not in text.replace("None of the", "")


def test_parts_that_hold_are_folded_away_and_the_others_are_not(frames):
    inside, text = False, {True: "", False: ""}
    for piece in re.split(r"(</?details>)", page(frames, [])):
        inside = piece == "<details>" if piece.endswith("details>") else inside
        text[inside] += piece
    assert "part holds" in text[True]
    assert "part undecided" in text[False]
    assert "part undecided" not in text[True]


def test_scale_is_that_of_all_parts_with_the_statistic(make):
    parts = [
        make.finding(part="a"),
        make.finding(part="b", estimate=0.9, low=0.8, high=1.0, verdict="does not hold"),
        make.finding(part="c", unit="points"),
    ]
    (claim,) = make.frames([], make.claim(*parts)).claims
    holding, others = groups(claim, holding=True), groups(claim, holding=False)
    assert [group.unit for group in holding] == ["", "points"]
    assert holding[0].scale == others[0].scale
    assert holding[0].scale.high == 1.0


@pytest.mark.parametrize(
    ("verdicts", "text"),
    [
        (["holds"], "1 of 1 part holds"),
        (["holds"] * 3, "3 of 3 parts hold"),
        (["undecided"], "0 of 1 part holds, 1 is undecided"),
        (["does not hold"] * 2 + ["holds"], "1 of 3 parts hold, 2 do not"),
        (["does not hold", "undecided", "undecided"],
         "0 of 3 parts hold, 1 does not, 2 are undecided"),
    ],
)  # fmt: skip
def test_counts(make, verdicts, text):
    (claim,) = make.frames([], make.claim(*(make.finding(verdict=v) for v in verdicts))).claims
    assert counts(claim) == text


def test_overall(make):
    claims = [make.claim(), make.claim(number=2, verdict="undecided"), make.claim(number=3)]
    assert overall(make.frames([], *claims).claims) == (
        "Of 3 claims, 2 hold in every part and 1 is undecided. Of their 3 parts, 3 hold."
    )
    assert overall([]) == "The study tested no claims."


def test_mathematics_is_set():
    assert maths("η_eff ∝ (η/λ)^¼ <b>") == "η<sub>eff</sub> ∝ (η/λ)<sup>¼</sup> &lt;b&gt;"
