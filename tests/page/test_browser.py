"""Pages in headless Chromium: phone and desktop, light and dark, without JavaScript, in print."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conjure.report.page import page as html_of

# Every element that a reader sees lies between the edges; what scrolls by itself may be wider.
OUTSIDE = """() => [...document.querySelectorAll('body *')].filter(e => {
  if (e.closest('.skip, defs')) return false;
  const scroll = e.closest('.scroll');
  if (scroll && scroll !== e) return false;
  const r = e.getBoundingClientRect();
  return r.width > 0 && (r.left < -0.5 || r.right > innerWidth + 0.5);
}).map(e => e.outerHTML.slice(0, 120))"""

# Labels of one chart, or of one grid, that cover each other.
OVERLAPS = """() => {
  const found = [];
  const groups = [['svg.chart', 'text'], ['.bars', '.label, .value'], ['.half', '.label'],
                  ['.samples', 'li'], ['.hero', 'figcaption, .number'], ['main', 'h2, p, summary']];
  for (const [where, what] of groups)
    for (const group of document.querySelectorAll(where)) {
      const boxes = [...group.querySelectorAll(what)].map(e => [e, e.getBoundingClientRect()])
        .filter(([e, r]) => r.width > 0);
      for (let i = 0; i < boxes.length; i++)
        for (let j = i + 1; j < boxes.length; j++) {
          const [a, b] = [boxes[i][1], boxes[j][1]];
          if (boxes[i][0].contains(boxes[j][0])) continue;
          if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
              Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1)
            found.push(boxes[i][0].textContent.trim() + ' | ' + boxes[j][0].textContent.trim());
        }
    }
  return found;
}"""

# Texts of a chart that its own frame cuts off.
CUT = """() => [...document.querySelectorAll('svg.chart')].flatMap(chart => {
  const frame = chart.getBoundingClientRect();
  return [...chart.querySelectorAll('text')].filter(text => {
    const r = text.getBoundingClientRect();
    return r.left < frame.left - 1 || r.right > frame.right + 1 ||
           r.top < frame.top - 1 || r.bottom > frame.bottom + 1;
  }).map(text => text.textContent);
})"""

# The contrast of every element that has text of its own with what lies behind it (WCAG 2).
FAINT = """() => {
  const parse = c => (c.match(/[0-9.]+/g) || [0, 0, 0]).map(Number);
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { const layers = [];
    for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
      const alpha = c.length > 3 ? c[3] : 1; if (alpha > 0) layers.push([c, alpha]);
      if (alpha === 1) break; }
    let [under] = layers.pop() || [[255, 255, 255]];
    for (const [c, a] of layers.reverse())
      under = [0, 1, 2].map(i => a * c[i] + (1 - a) * under[i]);
    return under; };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    const style = getComputedStyle(e);
    const ink = e.namespaceURI.endsWith('svg') ? style.fill : style.color;
    const [a, b] = [light(parse(ink)), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(e.tagName + ' ' + e.textContent.trim().slice(0, 40) + ' ' + ratio);
  }
  return found;
}"""


@pytest.mark.parametrize(
    ("width", "scheme"), [(320, "light"), (360, "dark"), (1280, "light"), (1280, "dark")]
)
def test_layout(opened, html, hostile_html, width, scheme) -> None:
    for one in (html, hostile_html):
        with opened(one, width, scheme) as page:
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.evaluate(OUTSIDE) == []
            assert page.evaluate(OVERLAPS) == []
            assert page.evaluate(CUT) == []
            assert page.evaluate(FAINT) == []
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.evaluate(OUTSIDE) == []
            assert page.evaluate(FAINT) == []
            assert page.said == []


def test_the_checks_see_faults(opened) -> None:
    """A page with each fault: the probes above report it."""
    faulty = """<!doctype html><body style="background:#fff"><main>
      <div style="width:2000px">wide</div><p style="color:#bbb">faint</p>
      <svg class="chart" width="100" height="50"><text x="90" y="20">cut off</text>
      <text x="5" y="40">one</text><text x="9" y="42">other</text></svg>
      <script>console.log('said')</script><img src="http://127.0.0.1:9/x.png"></main>"""
    with opened(faulty, 360, script=True) as page:
        assert page.evaluate("document.documentElement.scrollWidth") > 360
        assert any("wide" in one for one in page.evaluate(OUTSIDE))
        assert "one | other" in page.evaluate(OVERLAPS)
        assert page.evaluate(CUT) == ["cut off"]
        assert any("faint" in one for one in page.evaluate(FAINT))
        assert "said" in page.said
        assert "http://127.0.0.1:9/x.png" in page.said


def test_hostile_texts_do_nothing_with_javascript_on(opened, hostile_html) -> None:
    with opened(hostile_html, script=True) as page:
        assert page.said == []
        assert "owned" not in page.title().partition("<script>")[0]
        assert page.evaluate("document.querySelectorAll('script, [onerror], iframe').length") == 0
        assert page.evaluate("document.querySelectorAll('img:not([src^=\"data:\"])').length") == 0


def test_structure(opened, html) -> None:
    with opened(html) as page:
        levels = page.evaluate(
            "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])"
        )
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
        assert page.evaluate("document.documentElement.lang") == "en"
        assert page.evaluate("document.querySelectorAll('header, main, footer').length") == 3
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len({*ids})
        named = page.evaluate(
            "[...document.querySelectorAll('[aria-labelledby]')].map(e => e.getAttribute("
            "'aria-labelledby'))"
        )
        assert {*named} <= {*ids}
        alts = page.evaluate("[...document.querySelectorAll('img')].map(e => e.alt)")
        assert len(alts) > 20
        assert all(alts)
        assert page.evaluate("[...document.querySelectorAll('img')].every(e => e.naturalWidth > 0)")


def test_keyboard(opened, html) -> None:
    with opened(html) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        box = page.evaluate("document.activeElement.getBoundingClientRect().toJSON()")
        assert box["left"] >= 0
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.parentElement.open")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "scroll"


def test_print_shows_the_tables(opened, html) -> None:
    with opened(html, 1280, "dark") as page:
        heights = "[...document.querySelectorAll('details table')].map(t => t.offsetHeight)"
        closed = "[...document.querySelectorAll('details .scroll')].map(t => t.checkVisibility())"
        assert not any(page.evaluate(closed))
        page.emulate_media(media="print")
        assert all(page.evaluate(closed))
        assert min(page.evaluate(heights)) > 20
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)"
        )
        assert len(page.pdf(format="A4")) > 10_000


@pytest.mark.parametrize("which", ["bare", "latents", "one sample", "many", "tall"])
def test_other_explanations(opened, found, which) -> None:
    with opened(html_of(variant(found, which)), 360, "dark") as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.evaluate(OUTSIDE) == []
        assert page.evaluate(OVERLAPS) == []
        assert page.evaluate(CUT) == []
        assert page.said == []
        said = page.inner_text("body")
        assert ("no decoder" in said) == (which == "latents")
        assert ("no error bar" in said) == (which == "one sample")
        assert ("3 more in the table" in said) == (which == "many")
        assert bool(page.query_selector(".half")) == (which not in ("bare", "tall"))
        heights = "[...document.querySelectorAll('.maps img')].map(e => e.offsetHeight)"
        assert max(page.evaluate(heights)) < 400


def variant(found, which):
    """Other kinds of the same explanation."""
    if which == "bare":
        return replace(found, pictures=None, words=None)
    if which == "tall":  # as latents of sound are
        maps = np.repeat(found.maps[..., :2], 32, axis=3)
        return replace(found, pictures=None, words=None, maps=maps)
    if which == "latents":
        return replace(found, pictures=replace(found.pictures, decoded=False))
    if which == "one sample":
        distance = replace(found.distance, standard_error=None, interval=None, samples=1)
        finals = found.pictures.finals[:1]
        pictures = replace(found.pictures, finals=finals)
        return replace(found, distance=distance, maps=found.maps[:1], pictures=pictures, words=None)
    finals = np.tile(found.pictures.finals, (5, 1, 1, 1, 1))
    pictures = replace(found.pictures, finals=finals)
    return replace(found, maps=np.tile(found.maps, (5, 1, 1, 1, 1)), pictures=pictures)
