"""HTML that is safe by construction."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.html_reader import Page

from monoseme.base import html

anything = st.text(st.characters(), max_size=40) | st.sampled_from(
    ["</div><script>alert(1)</script>", '" onload="x', "&lt;", "<!--", "]]>", "\u202e", "'", "\x00"]
)


@given(anything, anything)
def test_whatever_comes_is_text_and_attribute_values_stay_inside(content, value):
    page = Page(html.card(content, html.facts({"a": content}), html.table((content,), [[value]]), html.code(value)))
    assert set(page.tags) <= {"div", "span", "table", "thead", "tbody", "tr", "th", "td", "code"}
    [picture] = Page(html.element("img", src=html.data_uri(b"", "image/png"), alt=value, title=content)).pictures
    shown = {
        name: "".join(c if c.isprintable() else "\ufffd" for c in text)
        for name, text in (("alt", value), ("title", content))
    }
    assert {name: picture[name] for name in shown} == shown


def test_html_is_left_as_it_is_but_not_what_was_made_from_it_by_other_means():
    bold = html.element("b", "x")
    assert html.element("div", bold) == "<div><b>x</b></div>"
    assert html.element("div", f"{bold}") == "<div>&lt;b&gt;x&lt;/b&gt;</div>"
    assert html.element("div", bold + bold) == html.element("div", str(bold + bold))
    assert isinstance(html.joined([bold, "<"]), html.Html)


def test_text_is_of_bounded_length_and_without_direction_marks():
    assert len(html.text("x" * 100_000)) == 2000
    assert html.text("a\u202eb") == "a\ufffdb"


@pytest.mark.parametrize("counts", [{}, {0: 0}, {1: 5}, {0: 15, 1: 491, 2: 991, 6: 1}])
def test_bars_are_as_high_as_their_counts(counts):
    drawn = html.bars(counts, "neurons by number of concepts")
    page = Page(drawn)
    assert page.tags.count("rect") == len(counts)
    heights = [float(piece.split('height="')[1].split('"')[0]) for piece in drawn.split("<rect")[1:]]
    most = max(counts.values(), default=0) or 1
    assert heights == pytest.approx([60 * count / most for count in counts.values()], abs=0.06)
    assert all(f"{count:,}" in page.texts for count in counts.values())
