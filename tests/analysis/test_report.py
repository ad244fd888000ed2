"""The report's page: what it says, and what a real browser makes of it."""
import io
import re
from html.parser import HTMLParser

import matplotlib.image
import numpy as np
import pytest

import browser
import cmsweep_reader
import figures
import findings
import report
import verdict
from plots import style
from sweep import Sweep
from synthetic_store import FAILED, StoreBuilder, quickstart_like

BAD = "<script>document.title = 'taken over'</script>"


class Reader(HTMLParser):
    """Text, elements and ids of a page."""

    def __init__(self, text):
        super().__init__()
        self.words, self.elements, self.skipping = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.skipping = tag == "style"

    def handle_endtag(self, tag):
        self.skipping = False

    def handle_data(self, data):
        if not self.skipping:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def made(quickstart_or_synthetic, tmp_path_factory):
    """The quickstart's page, or one of a store in its shape; and the words of every figure that was drawn for it."""
    path, words = tmp_path_factory.mktemp("page") / "report.html", []
    with pytest.MonkeyPatch.context() as patch:
        take_words = style.take_words
        patch.setattr(style, "take_words", lambda figure: words.append(take_words(figure)) or words[-1])
        assert report.main([str(quickstart_or_synthetic), "-o", str(path)]) == 0
    return path, words


@pytest.fixture(scope="module")
def page(made):
    return made[0]


def hostile_store():
    """Names, settings, messages and a config that want to be code."""
    store = StoreBuilder(name=f"sweep {BAD}")
    pair = [f"code {BAD}", "math \"&\" $x^{2$ '<b>"]
    for seed in (0, 1):
        store.experiment("base", ["base"], [0], seed=seed, target=BAD, loss=2.0, id="b" * 32, weights=[1.0])
        for member in pair:
            store.experiment("specialist", [member], [100], seed=seed, target=BAD, loss=2.1, weights=[1.0])
        for alpha in (0.25, 0.5):
            store.experiment("average", pair, [100, 100], {"alpha": alpha, "note": f"{alpha} {BAD}"}, seed, target=BAD, layer="all", loss=1.9 + alpha / 100 + seed / 1000,
                             weights=[alpha, 1 - alpha])
        store.experiment("ties", pair, [100, 100], {}, seed, target=BAD, layer="all", loss=np.nan, status=FAILED, message=f"singular {BAD}")
        store.comparison(pair[0], 100, pair[1], 100, np.eye(3) * 0.5 + 0.01 * seed, seed=seed, probe=BAD)
    store.add("runs", {"started": 1.7e9, "ended": 1.7e9 + 60, "ranks": 3, "hosts": BAD, "version": BAD, "outcome": BAD})
    return store


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    assert report.main([str(hostile_store().write(folder / "hostile <b>.h5")), "-o", str(folder / "report.html")]) == 0
    return folder / "report.html"


@pytest.fixture(scope="module")
def chromium():
    with browser.started() as started:
        yield started


@pytest.fixture
def undrawn(monkeypatch):
    """Pages without figures, which take most of the time."""
    monkeypatch.setattr(report, "pictures", lambda sweep: ([], []))


# ---- in a browser

OVERFLOWING = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, svg, pre') && e.getBoundingClientRect().right > innerWidth + 1
                  && getComputedStyle(e).display != 'none' && getComputedStyle(e).position != 'absolute').map(e => e.outerHTML.slice(0, 200))"""


def ink(png):
    """Share of pixels that differ from the corner's, the page's colour, in each of eight bands from top to bottom."""
    pixels = matplotlib.image.imread(io.BytesIO(png))[..., :3]
    return [float(np.mean(np.abs(band - pixels[0, 0]).max(axis=2) > 0.2)) for band in np.array_split(pixels, 8)]


@pytest.mark.parametrize("which", ["page", "hostile"])
@pytest.mark.parametrize("width, dark", [(1280, False), (390, False), (390, True)])
def test_it_stands_alone_and_fits_the_window(which, width, dark, chromium, request):
    path = request.getfixturevalue(which)
    chromium.open(path, width, dark=dark)
    asked = [url for url in chromium.requests() if not url.startswith("data:")]
    assert asked == [path.resolve().as_uri()]  # nothing but the page itself
    assert chromium.complaints() == []
    assert chromium.evaluate("document.scripts.length") == 0
    assert chromium.evaluate("[...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).length") == 0
    assert chromium.evaluate("document.images.length") > 0
    assert chromium.evaluate("document.documentElement.scrollWidth") == chromium.evaluate("document.documentElement.clientWidth") == width
    assert chromium.evaluate(OVERFLOWING) == []
    if width == 390:  # tables are cards there, which need no moving sideways
        assert chromium.evaluate("[...document.querySelectorAll('.scroll:has(table)')].filter(s => s.scrollWidth > s.clientWidth).map(s => s.innerText)") == []
    bands = ink(chromium.screenshot())
    assert all(0.003 < share < 0.95 for share in bands), bands


CONTRASTS = """(() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const luminance = color => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const paper = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (c != 'rgba(0, 0, 0, 0)') return c; } };
    return [...document.querySelectorAll('p, td, th, dd, dt, li, a, .tag, .range, .soft, .notice, caption')].map(e => {
        const [a, b] = [luminance(getComputedStyle(e).color), luminance(paper(e))].sort((x, y) => y - x);
        return [(a + 0.05) / (b + 0.05), luminance(paper(document.body)), e.outerHTML.slice(0, 120)];
    });
})()"""


def test_text_can_be_read_in_light_and_in_dark(hostile, chromium):
    for dark in (False, True):
        chromium.open(hostile, 1280, dark=dark)
        found = chromium.evaluate(CONTRASTS)
        assert len(found) > 50 and (found[0][1] < 0.1) == dark
        assert min(found)[0] >= 4.5, min(found)  # WCAG 2, level AA


def test_everything_is_there_in_print(hostile, page, chromium):
    chromium.open(page, 1280)
    closed = "[...document.querySelectorAll('details:not([open])')].map(d => d.getBoundingClientRect().height)"
    on_screen = chromium.evaluate(closed)
    chromium.open(page, 1280, medium="print")
    assert on_screen and all(paper > screen + 20 for screen, paper in zip(on_screen, chromium.evaluate(closed)))
    assert chromium.pdf().startswith(b"%PDF")


def test_names_are_never_code(hostile, chromium):
    chromium.open(hostile, 1280)
    assert chromium.evaluate("document.title").startswith("Can these models be combined?")
    shown = chromium.evaluate("document.body.innerText + [...document.querySelectorAll('details')].map(d => d.textContent).join()")
    for text in (f"code {BAD}+math \"&\" $x^{{2$ '<b>", f"on {BAD}", f"sweep {BAD}", f"singular {BAD}", "hostile <b>.h5"):
        assert text in shown, text
    assert chromium.evaluate("document.querySelectorAll('b b, main script, code script').length") == 0


# ---- what it says

def test_every_verdict_is_there_with_its_intervals(page, quickstart_or_synthetic):
    text = Reader(page.read_text()).text
    found = verdict.verdicts(Sweep(quickstart_or_synthetic))
    assert found
    for v in found:
        for option in v.options:
            assert f"{report.number(option.entry.loss)}" in text and f"{report.interval(option.gain)} n = {option.gain.n} {option.gain.over}" in text
        for hint in v.hints:
            assert (report.typeset(hint.text) if hint.measured is not None else hint.about) in text
        if v.choice:
            assert f"combine {verdict.WORDS[v.choice.family]}" in text
    assert "do not combine" in text


def test_every_figure_is_there_with_its_words(made, quickstart_or_synthetic):
    path, words = made
    shown = Reader(path.read_text())
    images = shown.all("img")
    for title, caption in words:
        assert len([image for image in images if title in image["alt"] and caption in image["alt"]]) == 1
        assert " ".join(title.split()) in shown.text and " ".join(caption.split()) in shown.text
    lacking = [code for code in re.findall(r"<li><code>(\w+)</code> needs", path.read_text())]
    assert len(images) == len(words) > 5 and all(image["src"].startswith("data:image/") for image in images)
    assert len(words) + len(lacking) == len(list(figures.requests(Sweep(quickstart_or_synthetic))))  # one pair: each kind once


def test_a_better_model_trained_instead_is_said_at_the_top(tmp_path, undrawn):
    store = quickstart_like(degrees=(0, 25))
    for seed in (0, 1, 2):
        store.experiment("finetune_target", ["code", "math"], [25, 25], {"steps": 10}, seed, loss=1.0 + 0.001 * seed, target_tokens=5000)
    text = Reader(report.page([store.write(tmp_path / "tuned.h5")])).text
    top, rest = text.split("Contents", 1)
    said = "But the base fine-tuned on the target's own text is certainly better still , by +0.7520"
    assert said in top and "after 5 k tokens of that text" in top and said in rest


def test_the_contents_lead_somewhere(page):
    shown = Reader(page.read_text())
    ids = [attributes["id"] for _, attributes in shown.elements if "id" in attributes]
    links = [a["href"] for a in shown.all("a")]
    assert len(ids) == len(set(ids)) and len(links) >= 8
    assert all(link.startswith("#") and link[1:] in ids for link in links)


def test_where_it_comes_from_is_said(page, quickstart_or_synthetic):
    shown = Reader(page.read_text()).text
    made = cmsweep_reader.provenance(quickstart_or_synthetic)
    for value in (made["created"], made["version"], *made["environment"].values(), " ".join(made["config"].split())):
        assert value in shown
    assert "None: every result that was tried is there." in shown


def test_failures_are_counted_and_quoted(hostile):
    shown = Reader(hostile.read_text()).text
    assert f"2 failed experiments singular {BAD}" in shown and "2 results failed and are not in the numbers" in shown
    assert re.search(r"2 failed experiments .* at degree 100 on .*: ties \{\}, layer all, seed 0", shown)


def test_what_the_store_lacks_is_said(hostile):
    shown = Reader(hostile.read_text()).text
    assert re.search(r"loss_against_span needs rows of method route", shown)
    assert "training_curves needs training curves" in shown


def test_an_unfinished_sweep_is_called_that(tmp_path, undrawn):
    store = quickstart_like(seeds=(0, 1), degrees=(0, 25))
    for row in store.rows["experiments"][-4:]:
        row.update(status=0, commit=0)
    text = Reader(report.page([store.write(tmp_path / "live.h5")])).text
    assert f"not finished: 4 of {len(store.rows['experiments'])} experiments are still to come" in text


def test_an_empty_store_gives_a_page_too(tmp_path):
    store = StoreBuilder()
    store.experiment("base", ["base"], [0])
    text = Reader(report.page([store.write(tmp_path / "bare.h5")])).text
    assert "No combination has been evaluated yet." in text and "all other figures needs combinations" in text


def many_pairs(name="many"):
    store = StoreBuilder(name)
    members = ["code", "math", "law", "news", "verse"]
    for seed in (0, 1, 2):
        store.experiment("base", ["base"], [0], seed=seed, loss=2.0, id="b" * 32, weights=[1.0])
        for member in members:
            store.experiment("specialist", [member], [100], seed=seed, loss=2.1, weights=[1.0])
        for i, first in enumerate(members):
            for second in members[i + 1:]:
                store.experiment("average", [first, second], [100, 100], {"alpha": 0.5}, seed, layer="all", loss=1.9 + 0.2 * (first == "law") + 0.01 * seed)
    return store


def test_many_pairs_are_summed_up(tmp_path, undrawn):
    store = many_pairs()
    for seed in (0, 1, 2):
        store.experiment("joint", ["code", "math"], [100, 100], {}, seed, loss=1.5 + 0.001 * seed)
    text = Reader(report.page([store.write(tmp_path / "many.h5")])).text
    assert "At the last degree of each of the 10 pairs and targets: 8 × by parameters ; 2 × not at all . In 1 of them one model trained on all" in text


def test_where_nothing_is_to_be_combined_takes_one_line_a_pair(tmp_path):
    store = many_pairs()
    for row in list(store.rows["experiments"]):
        store.add("experiments", {**row, "target": "other", "loss": row["loss"] + (row["method"] == "average"), "id": "f" + row["id"][1:]})
    rows = report.summed_up(report.cases_of(verdict.verdicts(Sweep(store.write(tmp_path / "two.h5")))))
    assert len(rows) == 8 + 8 + 2 and all(len(targets) == 1 for _, targets, _ in rows[:8])
    assert [(pair, targets) for pair, targets, _ in rows if len(targets) > 1] == [("law+news", ["doctest", "other"]), ("law+verse", ["doctest", "other"])]


def test_many_pairs_fit_a_phone(tmp_path, undrawn, chromium):
    assert report.main([str(many_pairs().write(tmp_path / "many.h5")), "-o", str(tmp_path / "many.html")]) == 0
    chromium.open(tmp_path / "many.html", 390)
    assert chromium.evaluate("document.documentElement.scrollWidth") == 390 and chromium.evaluate(OVERFLOWING) == []
    assert chromium.evaluate("document.querySelectorAll('details[open]').length") == 0  # folded


def test_findings_are_gathered_by_outcome():
    found = [findings.Finding("c", "a+b", "t", "holds"), findings.Finding("a", "a+b", "", "holds"), findings.Finding("c", "a+c", "t", "does not hold"),
             findings.Finding("c", "b+c", "t", "holds")]
    assert report.by_outcome(found) == [("a", "holds", ["a+b"]), ("c", "holds", ["a+b on t", "b+c on t"]), ("c", "does not hold", ["a+c on t"])]


def test_several_stores_and_former_plans_in_one_page(tmp_path, undrawn):
    first, second = quickstart_like(seeds=(0, 1), degrees=(0, 25)), many_pairs()
    for row in second.rows["experiments"]:
        row["in_plan"] = 0
    paths = [first.write(tmp_path / "one.h5"), second.write(tmp_path / "two.h5")]
    planned, everything = Reader(report.page(paths)).text, Reader(report.page(paths, outside_plan=True)).text
    assert "one.h5" in planned and "two.h5" in planned and "code+law" not in planned and "code+law" in everything


def test_the_same_store_gives_the_same_page(hostile):
    assert report.page([hostile.parent / "hostile <b>.h5"]) == hostile.read_text()


def test_a_file_that_is_no_store_gives_exit_code_2(tmp_path, capsys):
    assert report.main([str(tmp_path / "none.h5"), "-o", str(tmp_path / "report.html")]) == 2
    assert "no such store" in capsys.readouterr().err and not (tmp_path / "report.html").exists()


def test_numbers_are_set_as_in_print():
    assert [report.short(x) for x in (0, 768, 204800, 1.03296e6)] == ["0", "768", "205\u202fk", "1.03\u202fM"]
    assert report.signed(-1e-9) == "+0.0000" and report.signed(-0.5) == "−0.5000"
    assert report.typeset("at 1.73 x its FLOPs (-0.5 nat), code-mix") == "at 1.73 × its FLOPs (−0.5 nat), code-mix"
    assert (report.duration(0.31), report.duration(42), report.duration(220), report.duration(7500)) == ("0.3 s", "42 s", "3 min 40 s", "2 h 05 min")
    assert report.perplexity(0.01) == "1.0\u202f%"


def test_failures_of_every_table_are_found(tmp_path):
    store = quickstart_like(seeds=(0,), degrees=(0, 25))
    store.rows["similarity"][0].update(status=FAILED, message="no rows")
    store.rows["training"][0].update(status=3, message="killed")
    path = store.write(tmp_path / "failed.h5")
    failed = cmsweep_reader.failures(path)
    assert failed[["table", "status", "message"]].values.tolist() == [["similarity", "failed", "no rows"], ["training", "quarantined", "killed"]]
    assert failed["what"].tolist() == ["code at degree 0 ~ math at degree 0: cka_linear", "trajectory of code"]
    progress = cmsweep_reader.progress(path).set_index("table")
    assert progress.loc["training", ["planned", "done", "failed", "quarantined", "pending"]].tolist() == [2, 1, 0, 1, 0]
