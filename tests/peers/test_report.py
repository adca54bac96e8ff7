"""The report in a real browser (headless Chromium, moved by Playwright): opens from disk without a request, draws every
part, can be used with the keyboard and read by a screen reader, from a phone to a wall, in light and in dark."""
import json
import os
import pathlib
import re

import pytest
from conftest import need

WIDTHS, SCHEMES = (400, 2000), ("light", "dark")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
HOSTILE = "</script><img src=x onerror=alert(1)><b>& \"quotes\" \u2028"


@pytest.fixture(scope="session")
def browser():
    path = need(pathlib.Path(os.environ.get("CHROMIUM", "/usr/bin/chromium")), "scripts/setup.sh --dev installs it")
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(path), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def report(strata, wide, tmp_path_factory) -> pathlib.Path:
    """A report with every part, of a model of two blocks: made as a person would, by the program alone."""
    work = tmp_path_factory.mktemp("report")
    (work / "text.txt").write_text("The cat sat on the mat and looked at the moon. " * 60)
    few = ["--samples", 2, "--seq-len", 64]
    strata.run("score", wide, "-o", work / "scores.json", "--judge", "--kl-codecs", "int4_g64", "--kl-tokens", 64, *few)
    strata.run("sweep", wide, "-o", work / "sweep", "--tokens", 64, "--random", 3, *few)
    strata.run("quantize", wide, "-o", work / "out", "--bits", 5, "--verify-samples", 1, *few)
    strata.run("eval", work / "out", "--ref", wide, "--text", work / "text.txt", "--seq-len", 64, "--samples", 2, "-o", work / "eval.json")
    strata.run("report", work / "out", "--ref", wide, "--scores", work / "scores.json", "--eval", work / "eval.json", "--sweep",
               work / "sweep", "--prompt", HOSTILE, "--prompt", "Hello", "--max-tokens", 8)
    assert (work / "sweep/report.html").exists(), "sweep writes its own"
    return work / "out.report.html"


class Opened:
    """A page opened from disk; everything it says on the console or asks the network for is kept."""

    def __init__(self, browser, path: pathlib.Path, width: int = 1280, scheme: str = "light"):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page, self.said, self.requests = self.context.new_page(), [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append("dialog: " + dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_function("[...document.querySelectorAll('.chart')].every((chart) => chart.querySelector('svg path'))")

    def __enter__(self):
        return self.page

    def __exit__(self, *failure):
        others = [url for url in self.requests if not url.startswith(("file:", "data:"))]
        self.context.close()
        if failure[0] is None:
            assert self.said == [] and others == [] and len([u for u in self.requests if u.startswith("file:")]) == 1


def with_data(report: pathlib.Path, path: pathlib.Path, edit) -> pathlib.Path:
    """The same page with other data."""
    page = report.read_text()
    begin = page.index('id="data">') + len('id="data">')
    end = page.index("</script>", begin)
    data = json.loads(page[begin:end])
    edit(data)
    path.write_text(page[:begin] + json.dumps(data).replace("<", "\\u003c") + page[end:])
    return path


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_part_is_drawn(browser, report, width, scheme, tmp_path):
    assert report.stat().st_size < 2_000_000
    with Opened(browser, report, width, scheme) as page:
        titles = [title.inner_text() for title in page.query_selector_all("h2")]
        assert titles == ["Where the bits went", "What other sizes would cost", "Where the loss comes from", "What was measured",
                          "Lowering blocks one after another", "Which order is best", "What the literature says, on this model",
                          "Three tiers against FP8", "How good each signal is", "The same prompt, both models"]
        assert page.query_selector(".damaged") is None
        assert "bits a weight" in page.inner_text("h1") and "nats of KL divergence" in page.inner_text("h1")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out"
        assert len(page.query_selector_all(".heat [role=gridcell]")) == 2 * 7
        for chart in page.query_selector_all(".chart"):
            lines = [path.get_attribute("stroke") for path in chart.query_selector_all("svg path")]
            assert len([stroke for stroke in lines if stroke and stroke != "none"]) >= 2
            assert chart.bounding_box()["width"] > 0.7 * min(width, 700) * 0.9
        assert len(page.query_selector_all(".command")) >= 8, "every figure has its command"
        dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(14, 17, 24)"
        assert dark == (scheme == "dark")
        page.screenshot(path=str(tmp_path / "page.png"), full_page=True)
        assert (tmp_path / "page.png").stat().st_size > 50_000


def test_tables_fit_a_phone(browser, report):
    """Rows are stacked where there is no room for all columns: each cell then has its heading beside it."""
    with Opened(browser, report, 390) as page:
        page.wait_for_selector("[aria-label='Measurements'] .stacked")
        for name in ("Measurements", "Largest contributors", "Orders by mean KL", "Plans measured", "Signals of a group against kl"):
            wide, room = page.eval_on_selector(f"[aria-label='{name}']", "(region) => [region.scrollWidth, region.clientWidth]")
            assert wide <= room, name
        headings = page.eval_on_selector_all("[aria-label='Measurements'] tr:nth-child(1) td",
                                             "(cells) => cells.map((cell) => getComputedStyle(cell, '::before').content)")
        assert '"top-1"' in headings and '"perplexity"' in headings
    with Opened(browser, report, 1600) as page:
        assert page.query_selector(".stacked") is None


def test_no_section_leaves_half_a_row_empty(browser, report, tmp_path):
    def alone(data):
        for part in ("pareto", "judge"):
            del data[part]
        data["sweep"]["plans"] = []
    with Opened(browser, with_data(report, tmp_path / "alone.html", alone), 1600) as page:
        whole = page.locator(".parts").bounding_box()["width"]
        for title in ("Where the loss comes from", "What the literature says", "both models"):
            section = page.locator("section", has=page.locator("h2", has_text=title))
            assert section.bounding_box()["width"] == whole, title


def test_every_order_has_its_own_look(browser, report):
    with Opened(browser, report) as page:
        looks = page.eval_on_selector_all(".toggles i", "(marks) => marks.map((mark) => mark.style.borderTop)")
        assert len(looks) >= 9 and len(set(looks)) == len(looks)


def test_the_headline_says_which_text(browser, report, tmp_path):
    with Opened(browser, report) as page:
        assert "Measured on 2 x 64 tokens of" in page.inner_text("h1")

    def used(data):
        data["evaluations"] = [data["evaluations"][-1] | {"text": "31 tokens of a.txt that the calibration used too", "used_by_calibration": True}]
    with Opened(browser, with_data(report, tmp_path / "used.html", used)) as page:
        assert "used too. On other text it may be worse." in page.inner_text("h1 .warning")


def test_rules_are_no_measured_loss(browser, strata, wide, report):
    out = report.parent / "by-rules"
    strata.run("quantize", wide, "-o", out, "--preset", "prior", "--bits", 5, "--scale", "minmax", "--no-verify")
    strata.run("score", wide, "-o", report.parent / "few.json", "--signals", "lim,zd", "--samples", 2, "--seq-len", 64)
    strata.run("report", out, "--ref", wide, "--scores", report.parent / "few.json")
    with Opened(browser, out.with_name(out.name + ".report.html")) as page:
        assert page.locator("h2", has_text="Where the loss comes from").count() == 0
        assert "estimated loss" not in page.inner_text("main")
        missing = page.locator(".missing details", has_text="Where the loss comes from")
        assert "The scores hold lim, zd, and none of these prices" in missing.text_content()
    strata.run("report", out, "--ref", wide, "--scores", report.parent / "scores.json")
    with Opened(browser, out.with_name(out.name + ".report.html")) as page:
        assert page.locator("h2", has_text="Where the loss comes from").count() == 1, "the scores price the plan"


def test_the_keyboard_reaches_everything(browser, report):
    with Opened(browser, report) as page:
        tabs = page.locator("[role=tablist][aria-label='What the map shows'] [role=tab]")
        names = tabs.all_inner_texts()
        assert names[0] == "bits" and {"lim", "zd", "alpha", "act_mse at int4_g64", "kl at int4_g64"} <= set(names)
        tabs.first.focus()
        for name in names[1:]:
            page.keyboard.press("ArrowRight")
            assert page.evaluate("document.activeElement.textContent") == name
            assert page.locator("[role=tab][aria-selected=true]").first.inner_text() == name
            assert page.locator(".heat [role=gridcell]").first.get_attribute("aria-label").startswith("Block 0")
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.textContent") == "bits", "goes round"

        page.locator(".heat [role=gridcell][tabindex='0']").focus()
        before = page.evaluate("document.activeElement.getAttribute('aria-label')")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        after = page.evaluate("document.activeElement.getAttribute('aria-label')")
        assert after != before and re.match(r"Block 1, k: [\d.]+ bits, \w+", after)
        assert page.inner_text(".readout") == after
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == after, "stops at the edge"

        for chart in page.locator(".chart").all():
            chart.focus()
            page.keyboard.press("ArrowRight")
            spoken = chart.evaluate("(chart) => chart.nextElementSibling.textContent")
            assert re.search(r"\d", spoken)
            assert chart.locator(".tip").inner_text() == spoken, "seen as well as spoken"
            page.keyboard.press("ArrowDown")
            assert chart.evaluate("(chart) => chart.nextElementSibling.textContent") != spoken

        toggle = page.locator(".toggles button", has_text="pruned")
        lines = len(page.query_selector_all(".chart >> nth=1 >> svg path"))
        toggle.focus()
        page.keyboard.press("Enter")
        assert toggle.get_attribute("aria-pressed") == "false"
        assert len(page.query_selector_all(".chart >> nth=1 >> svg path")) < lines
        page.locator("text=light / dark").press("Enter")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_screen_reader_finds_names(browser, report):
    with Opened(browser, report) as page:
        assert page.evaluate("document.documentElement.lang") == "en" and page.title().endswith("strata report")
        assert page.evaluate("""[...document.querySelectorAll('section')].every(
            (part) => document.getElementById(part.getAttribute('aria-labelledby'))?.textContent)""")
        assert page.evaluate("""[...document.querySelectorAll('[role=grid],[role=tablist],[role=application],[role=region],[role=group]')]
            .filter((node) => !node.getAttribute('aria-label')).length""") == 0
        assert page.evaluate("[...document.querySelectorAll('table.data')].filter((t) => !t.caption?.textContent).length") == 0
        assert page.evaluate("[...document.querySelectorAll('button')].filter((b) => !b.textContent.trim()).length") == 0
        # Both figures have their numbers as tables, for whoever cannot see them.
        assert page.locator("summary", has_text="as a table").count() >= 3


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_can_be_read_on_its_ground(browser, report, scheme):
    """WCAG AA: a contrast of at least 4.5 for words, cells of the map included."""
    with Opened(browser, report, 1280, scheme) as page:
        worst = page.evaluate("""() => {
            const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number)
            const luminance = (colour) => {
                const [r, g, b] = numbers(colour).map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
                return 0.2126 * r + 0.7152 * g + 0.0722 * b
            }
            const ground = (node) => {
                for (; node; node = node.parentElement) {
                    const colour = getComputedStyle(node).backgroundColor
                    if (numbers(colour)[3] !== 0) return colour
                }
                return getComputedStyle(document.documentElement).backgroundColor
            }
            let worst = [99, '']
            for (const node of document.querySelectorAll('p, b, td, th, li, dt, dd, h1, h2, h3, h4, small, span, summary, code, button, mark')) {
                if (!node.textContent.trim() || node.closest('svg, .unseen')) continue
                const [a, b] = [luminance(getComputedStyle(node).color), luminance(ground(node))].sort((x, y) => y - x)
                const ratio = (a + 0.05) / (b + 0.05)
                if (ratio < worst[0]) worst = [ratio, node.outerHTML.slice(0, 200)]
            }
            return worst
        }""")
        assert worst[0] >= 4.5, worst


def test_texts_of_models_are_only_text(browser, report):
    with Opened(browser, report) as page:
        assert HOSTILE in page.evaluate("[...document.querySelectorAll('.prompt')].map((p) => p.textContent)")
        assert page.query_selector("main img") is None


def test_hostile_names_are_only_text(browser, report, tmp_path):
    def edit(data):
        data["model"]["name"] = data["output"]["path"] = data["sweep"]["curves"][0]["order"] = HOSTILE
        data["grid"]["linears"][0]["role"] = data["plan"]["groups"][0]["codec"] = data["pareto"]["uniform"][0]["codec"] = HOSTILE
        data["evaluations"][0]["text"] = data["signals"][0]["name"] = HOSTILE
    with Opened(browser, with_data(report, tmp_path / "hostile.html", edit)) as page:
        assert HOSTILE in page.inner_text("h1").replace("\n", " ") or "onerror" in page.inner_text("h1")
        for chart in page.locator(".chart").all():
            chart.focus()
            page.keyboard.press("ArrowRight")
            page.keyboard.press("ArrowDown")
        assert page.query_selector("main img") is None


def test_a_part_that_is_missing_or_damaged_spoils_no_other(browser, report, tmp_path):
    def damage(data):
        data["sweep"]["curves"] = 7
        del data["texts"]
    with Opened(browser, with_data(report, tmp_path / "damaged.html", damage)) as page:
        assert "could not be drawn" in page.inner_text(".damaged >> nth=0")
        assert page.locator(".heat [role=gridcell]").count() == 14 and page.locator("h2", has_text="both models").count() == 0
    with Opened(browser, with_data(report, tmp_path / "bare.html", lambda data: data.clear())) as page:
        assert page.inner_text("h1") == "This model"


def test_a_sweep_has_a_report_of_its_own(browser, report):
    with Opened(browser, report.parent / "sweep/report.html") as page:
        assert "takes perplexity from" in page.inner_text("h1")
        assert page.locator(".chart").count() == 1
        assert "strata report" in page.locator(".missing").inner_text() or page.locator(".missing summary").count() >= 3
