#!/usr/bin/env python3
"""The HTML report in a browser, as its reader meets it: mouse, keyboard, phone, light and dark, with hostile names.

    tests/browser/run.py BUILD [--pictures DIR]     BUILD has tests/report_cli; needs Chromium (tests/setup all)

Ends with "browser: N passed, M failed".
"""
import argparse
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from chromium import Chromium, Failed

ROW_NAMES = "[...document.querySelectorAll('#tensors tbody tr')].filter(r => !r.hidden).map(r => r.cells[0].textContent)"
# What an element says to a screen reader, and where it is.
FOCUSED = ("(() => { const e = document.activeElement; return [e.tagName.toLowerCase(), "
           "(e.getAttribute('aria-label') || e.closest('label')?.firstChild.textContent || e.textContent || '').trim().slice(0, 40)]; })()")
# Contrast by WCAG 2: of every text with its background, the least.
CONTRAST = """(() => {
  const parse = (c) => { const n = c.match(/[\\d.]+/g).map(Number); return n.length < 4 || n[3] > 0 ? n.slice(0, 3) : null; };
  const light = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                         return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  let worst = [99, ''];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || e.closest('script,style,title,desc,[hidden],.skip')) continue;
    let back = null;
    for (let p = e; p && !back; p = p.parentElement) back = parse(getComputedStyle(p).backgroundColor);
    const style = getComputedStyle(e), fore = parse(e.closest('svg') ? style.fill : style.color);
    const [x, y] = [light(fore), light(back)].sort((p, q) => q - p), ratio = (x + 0.05) / (y + 0.05);
    if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 120)];
  }
  return worst;
})()"""


class Reports:
    def __init__(self, build, browser, folder):
        self.browser, self.page, self.folder = browser, None, folder
        for kind in ("good", "hostile", "empty"):
            with open(self.folder / f"{kind}.html", "wb") as f:
                subprocess.run([build / "tests/report_cli", kind], stdout=f, check=True)

    def open(self, kind, **how):
        if self.page:
            self.page.close()
        self.page = self.browser.open((self.folder / f"{kind}.html").as_uri(), **how)
        return self.page


def a_click_on_a_head_sorts(reports):
    page = reports.open("good")
    column = "[...document.querySelectorAll('#tensors tbody tr')].map(r => Number(r.cells[{}].dataset.v || 'NaN'))"
    snr = page.js(column.format(4))
    numbers = [v for v in snr if v is not None]
    assert numbers == sorted(numbers), "the page comes worst first"
    head = "document.querySelectorAll('#tensors th')[{}]"
    assert page.js(head.format(6) + ".getAttribute('aria-sort')") is None
    page.js(head.format(6) + ".querySelector('button').click()")
    assert page.js(head.format(6) + ".getAttribute('aria-sort')") == "descending", "errors are of interest from the largest on"
    rmse = page.js(column.format(6))
    assert rmse == sorted(rmse, reverse=True)
    page.js(head.format(6) + ".querySelector('button').click()")
    assert page.js(head.format(6) + ".getAttribute('aria-sort')") == "ascending"
    assert page.js(column.format(6)) == sorted(rmse)
    page.js(head.format(0) + ".querySelector('button').click()")
    assert page.js("document.querySelectorAll('#tensors [aria-sort]').length") == 1
    names = page.js(ROW_NAMES)
    assert names.index("layer.2.attn_k.w") < names.index("layer.10.attn_k.w"), "names sort as people count"


def what_is_no_number_sorts_last(reports):
    page = reports.open("hostile")
    keys = "[...document.querySelectorAll('#tensors tbody tr')].map(r => r.cells[4].dataset.v)"
    for _ in range(2):
        page.js("document.querySelectorAll('#tensors th')[4].querySelector('button').click()")
        assert page.js(keys)[-1] == ""
    assert page.js(keys)[0] == "Infinity"


def typing_filters(reports):
    page = reports.open("good")
    total = len(page.js(ROW_NAMES))
    page.js("document.querySelector('#tensor-tools input').focus()")
    page.type("FFN up")
    names = page.js(ROW_NAMES)
    assert len(names) == 30 and all("ffn_up" in n for n in names)
    assert page.js("document.querySelector('#tensor-tools output').textContent") == f"30 of {total} tensors"
    page.js("(s => { s.value = 'f32'; s.dispatchEvent(new Event('change')); })(document.querySelector('#tensor-tools select'))")
    assert page.js(ROW_NAMES) == []
    page.js("(i => { i.value = ''; i.dispatchEvent(new Event('input')); })(document.querySelector('#tensor-tools input'))")
    assert len(page.js(ROW_NAMES)) == 60
    assert page.js("[...document.querySelectorAll('#tensor-tools option')].map(o => o.value)") == ["", "f32", "q4_0"]


def everything_is_in_reach_of_the_keyboard(reports):
    page = reports.open("good")
    seen = []
    for _ in range(60):
        page.press("Tab")
        where = page.js(FOCUSED)
        if where in seen or where[0] == "body":
            break
        seen.append(where)
    assert seen[0] == ["a", "Skip to the table of tensors"]
    order = [what for _, what in seen]
    for a, b in zip(("Map of the tensors", "Names that contain", "Type", "Table of the tensors", "Tensor", "Layer", "SNR, dB"),
                    ("Names that contain", "Type", "Table of the tensors", "Tensor", "Layer", "SNR, dB", "Not finite")):
        assert order.index(a) < order.index(b), (a, b, order)
    page.js("document.querySelectorAll('#tensors th button')[4].focus()")
    for key, state in (("Enter", "ascending"), (" ", "descending")):
        page.press(key)
        assert page.js("document.activeElement.parentElement.getAttribute('aria-sort')") == state, "the focus stays where it was"
    assert page.js("getComputedStyle(document.activeElement).outlineStyle") == "solid", "the focus is seen"


def a_phone_scrolls_no_page_sideways(reports):
    for kind in ("good", "hostile", "empty"):
        for width in (320, 390):
            page = reports.open(kind, width=width, height=800)
            assert page.js("document.documentElement.scrollWidth") <= width, kind
            assert page.js("innerWidth") == width, "nothing made the page wider than the screen"


def letters_on_a_phone_are_large_enough(reports):
    page = reports.open("good", width=360, height=800)
    least = page.js("Math.min(...[...document.querySelectorAll('svg text')].map(t => parseFloat(getComputedStyle(t).fontSize) *"
                    " t.ownerSVGElement.getBoundingClientRect().width / t.ownerSVGElement.viewBox.baseVal.width))")
    assert least >= 8.5, least


def contrast_is_enough(reports):
    for dark in (False, True):
        for kind in ("good", "hostile"):
            page = reports.open(kind, dark=dark)
            ratio, where = page.js(CONTRAST)
            assert ratio >= 4.5, (dark, ratio, where)


def dark_is_dark(reports):
    shade = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((s, v) => s + Number(v), 0)"
    assert reports.open("good").js(shade) > 600
    assert reports.open("good", dark=True).js(shade) < 120


def hostile_names_are_text(reports):
    page = reports.open("hostile")
    assert page.js("document.title").startswith("Failed: <img src=")
    assert page.js("document.querySelectorAll('h1').length") == 1
    assert page.js("document.images.length + document.scripts.length") == 1, "the page's own script alone"
    assert page.js("[...document.querySelectorAll('*')].flatMap(e => [...e.attributes]).filter(a => a.name.startsWith('on')).length") == 0
    names = page.js(ROW_NAMES)
    for shown in ("\"><script>document.title='broken'</script> ✗", "a\\u{202e}gnp.exe", "bytes \\xff\\xfe and \\xc3",
                  "line\\nbreak\\ttab\\u{1b}[31m", "{{style}} {{weights}}", "&lt;b&gt; &amp; <!-- --> ]]>"):
        assert shown in names, shown
    assert page.js("document.documentElement.outerHTML.includes('\\u202e')") is False


def nothing_is_fetched_and_nothing_complains(reports):
    for kind in ("good", "hostile", "empty"):
        page = reports.open(kind)
        page.js("fetch('http://example.org/').catch(() => 0) && 0" if kind == "empty" else "0")
        assert page.requests() == [], kind
        # That policy is what kept the request in.
        assert (page.complaints() != []) == (kind == "empty"), page.complaints()


def without_its_script_it_is_a_plain_page(reports):
    page = reports.open("good", script=False)
    assert len(page.js(ROW_NAMES)) > 200
    assert page.js("document.querySelectorAll('button, input:not([hidden] input), select:not([hidden] select)').length") == 0
    assert page.js("document.querySelector('#tensors th').textContent") == "Tensor"


def pictures_say_what_they_are(reports):
    page = reports.open("good")
    unnamed = page.js("[...document.querySelectorAll('svg[role=img]')].filter(s => !s.getAttribute('aria-labelledby').split(' ')"
                      ".every(id => document.getElementById(id)?.textContent)).length")
    assert unnamed == 0
    assert page.js("document.querySelectorAll('svg[role=img]').length") == 4
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    images = [n["name"]["value"] for n in tree if n.get("role", {}).get("value") in ("image", "img")]
    assert any(n.startswith("Map of the tensors") for n in images), images
    assert page.js("[...document.querySelectorAll('[id]')].length === new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size")


def marks_are_where_their_values_are(reports):
    page = reports.open("good")
    # The mean, 0.0421, lies between the ticks for 0.01 and 0.1, at log10(4.21) of the way.
    at = page.js("""(() => { const s = document.querySelector('svg[aria-labelledby^=kl]'), x = (t) => Number([...s.querySelectorAll('text')]
      .find(e => e.textContent === t).getAttribute('x')), m = Number(s.querySelector('path.mark').getAttribute('d').match(/M([\\d.]+)/)[1]);
      return (m - x('0.01')) / (x('0.1') - x('0.01')); })()""")
    assert abs(at - 0.6243) < 0.005, at
    tall = page.js("Math.max(...[...document.querySelectorAll('svg[aria-labelledby^=kl] rect')].map(r => Number(r.getAttribute('height'))))")
    assert tall == 180, "the largest bar fills the chart"


TESTS = [a_click_on_a_head_sorts, what_is_no_number_sorts_last, typing_filters, everything_is_in_reach_of_the_keyboard,
         a_phone_scrolls_no_page_sideways, letters_on_a_phone_are_large_enough, contrast_is_enough, dark_is_dark, hostile_names_are_text,
         nothing_is_fetched_and_nothing_complains, without_its_script_it_is_a_plain_page, pictures_say_what_they_are,
         marks_are_where_their_values_are]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--pictures", type=Path)
    a = parser.parse_args()
    failed = 0
    with Chromium() as browser, tempfile.TemporaryDirectory() as folder:
        reports = Reports(a.build, browser, Path(folder))
        for test in TESTS:
            try:
                test(reports)
                print("ok    ", test.__name__.replace("_", " "))
            except (AssertionError, Failed, ValueError):
                failed += 1
                print("FAILED", test.__name__.replace("_", " "))
                traceback.print_exc()
        if a.pictures:
            a.pictures.mkdir(parents=True, exist_ok=True)
            for kind in ("good", "hostile", "empty"):
                for name, how in (("light", {}), ("dark", {"dark": True}), ("phone", {"width": 390, "height": 800})):
                    reports.open(kind, **how).screenshot(a.pictures / f"{kind}-{name}", pieces=3)
    print(f"browser: {len(TESTS) - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
