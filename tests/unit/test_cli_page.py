"""Plans and traces as pages and as trace events; the pages are opened by a real browser."""

from __future__ import annotations

import html.parser
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.cli import main
from libct.cli.chrome import trace_events
from libct.cli.lanes import bars, hand_overs, lanes
from libct.cli.page import at_place, page
from libct.life.creating import plan
from libct.plan.cgroups import cgroup_close
from libct.plan.further import let_go
from libct.plan.limits import reset_affinity
from libct.plan.namespaces import clone_init, new_session
from libct.plan.step import AHEAD, INIT, RUNTIME, SERVER, Plan
from libct.plan.uts import set_hostname
from tests.browser import Browser

from ..support import requires

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVIL = '<script>alert("1")</script>\x1b[31m'


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle")
    (path / "rootfs").mkdir()
    assert main(["spec", "-b", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def made(bundle: Path) -> Plan:
    return plan(*libct.from_bundle(str(bundle)))


def some() -> Plan:
    found = Plan()
    found.add(RUNTIME, "cgroup", [cgroup_close(("/a",), why="linux.cgroupsPath")])
    found.add(SERVER, "clone", [clone_init(0, False)])
    found.add(INIT, "identity", [new_session(), set_hostname(EVIL, why="hostname")])
    found.add(AHEAD, "created", [let_go()])
    found.add(INIT, "start", [reset_affinity()])
    return found


TRACES = [
    (1, 5_000, 1_000, "ok"),
    (2, 7_000, 2_000, "ok"),
    (3, 10_000, 500, "ok"),
    (5, 10_100, 50, "ok"),
    (4, 11_000, 500, f"sethostname: {EVIL}"),
]


# --- lanes ---


def test_each_process_has_a_lane_and_hands_over() -> None:
    shown = bars(some())
    assert lanes(shown) == [RUNTIME, SERVER, INIT]
    assert [(bar.start, bar.duration) for bar in shown] == [(n, 1) for n in range(6)]
    arrows = [(one.after.number, one.before.number, one.cloned) for one in hand_overs(shown)]
    assert arrows == [(1, 2, False), (2, 3, True)]  # what is done ahead is nobody's turn
    timed = bars(some(), TRACES)
    assert [(bar.number, bar.start, bar.end) for bar in timed] == [
        *((1, 0, 1_000), (2, 2_000, 4_000), (3, 5_000, 5_500)),
        *((4, 6_000, 6_500), (5, 5_100, 5_150)),
    ]
    assert bars(some(), []) == []


def test_the_whole_plan_is_on_the_page(made: Plan) -> None:
    text = page(made)
    assert [int(n) for n in re.findall(r'<details id="step-(\d+)"', text)] == [
        *range(1, len(made) + 1)
    ]
    assert text.count('class="box ') == len(made)
    assert text.count("marker-end") == len(hand_overs(bars(made)))


# --- trace events ---


def test_trace_events() -> None:
    found = json.loads(trace_events(some(), TRACES))
    events = found["traceEvents"]
    names = {one["tid"]: one["args"]["name"] for one in events if one["name"] == "thread_name"}
    assert names == {1: RUNTIME, 2: SERVER, 3: INIT}
    steps = [one for one in events if one["ph"] == "X"]
    assert [(one["args"]["step"], one["tid"], one["ts"], one["dur"]) for one in steps] == [
        *((1, 1, 0, 1), (2, 2, 2, 2), (3, 3, 5, 0.5), (4, 3, 6, 0.5), (5, 1, 5.1, 0.05)),
    ]
    assert all(one["name"] and one["cat"] for one in steps)
    flows = [(one["ph"], one["id"], one["tid"], one["ts"]) for one in events if one["ph"] in "sf"]
    assert flows == [("s", 1, 1, 1), ("f", 1, 2, 2), ("s", 2, 2, 4), ("f", 2, 3, 5)]
    assert json.loads(trace_events(some(), []))["traceEvents"]


# --- pages ---


def test_a_place_of_the_configuration() -> None:
    spec = {"a": {"b.c": [1, {"d": 2}], "b": 3}, "n": {"x": None}}
    for place, value in (
        ("a.b.c[1].d", 2),
        ("a.b.c[1]", {"d": 2}),
        ("a.b", 3),
        ("a.b.c[7]", None),
        ("a.b.d", None),
        ("q", None),
        ("n.x.y", None),
        ("a.b.c[x]", None),
        ("a.b.c[", None),
    ):
        assert at_place(spec, place) == value, place


class Checker(html.parser.HTMLParser):
    """That what is opened is closed, in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "rect", "line", "path"):
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("traces", [None, TRACES, []])
def test_a_page_is_whole_and_needs_nothing(traces: Any) -> None:
    text = page(some(), traces, spec={"hostname": EVIL}, title=EVIL)
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert EVIL not in text
    assert "<script>alert" not in text
    assert "\x1b" not in text
    targets = {link for link in checker.links if not link.startswith("#")}
    assert all(link.startswith("https://man7.org/linux/man-pages/man2/") for link in targets)
    assert "@import" not in text
    assert "url(" not in text.replace("url(#tip)", "")


def test_a_step_that_failed_says_why() -> None:
    text = page(some(), TRACES)
    assert '<details id="step-4" open>' in text
    assert '<p class="bad">sethostname: &lt;script&gt;' in text
    assert text.count(' bad"') == 1


def test_calls_are_links_to_man_pages(made: Plan) -> None:
    text = page(made)
    for name in ("mount_setattr", "clone", "pivot_root", "open"):
        assert f'href="https://man7.org/linux/man-pages/man2/{name}.2.html"' in text, name


def test_the_command_writes_a_page(
    bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "plan.html"
    assert main(["plan", "-b", str(bundle), "--html", str(target), "box"]) == 0
    assert capfd.readouterr().out == ""
    text = target.read_text()
    assert "<title>Plan of box: " in text
    assert "&quot;/proc/kcore&quot;" in text  # of config.json, beside the step
    assert main(["plan", "-b", str(bundle), "--html", str(tmp_path)]) == 1
    assert "cannot open the page" in capfd.readouterr().err
    assert main(["run", "-b", str(bundle), "--format", "chrome", "box"]) == 1
    assert "--format: there is no --trace" in capfd.readouterr().err


# --- in a browser ---


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as found:
        yield found


@pytest.fixture
def opened(made: Plan, bundle: Path, browser: Browser, tmp_path: Path) -> Path:
    spec = json.loads((bundle / "config.json").read_text())
    target = tmp_path / "plan.html"
    target.write_text(page(made, spec=spec))
    return target


@requires("chromium")
@pytest.mark.longest(120)
def test_a_browser_shows_it_and_asks_for_nothing(
    opened: Path, browser: Browser, made: Plan, tmp_path: Path
) -> None:
    browser.open(opened)
    assert browser.troubles() == []
    assert browser.run("document.querySelectorAll('svg .box').length") == len(made)
    assert browser.run("document.querySelectorAll('details[open]').length") == 0
    # Each step has its box, in the lane of its process, and left of the next one.
    places = browser.run(
        "[...document.querySelectorAll('svg .box rect')]"
        ".map(box => { const at = box.getBoundingClientRect(); return [at.left, at.top, at.width]})"
    )
    assert [left for left, _, _ in places] == sorted(left for left, _, _ in places)
    assert len({round(top) for _, top, _ in places}) == len(lanes(bars(made)))
    assert all(width > 1 for _, _, width in places)
    # The place in config.json is beside the calls.
    sides = browser.run(
        "[...[...document.querySelectorAll('.inside')].find(one => one.children.length === 2)"
        ".children].map(one => { one.closest('details').open = true;"
        " const at = one.getBoundingClientRect(); return [at.left, at.right, at.top]; })"
    )
    assert sides[0][1] <= sides[1][0]
    assert abs(sides[0][2] - sides[1][2]) < 20
    # All of it fits in the width of a page.
    wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert browser.run(wide)
    browser.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


@requires("chromium")
@pytest.mark.longest(120)
def test_it_is_used_by_keyboard(opened: Path, browser: Browser) -> None:
    browser.open(opened)
    focused = "document.activeElement.closest('details')?.id"
    for key, place in (("j", "step-1"), ("j", "step-2"), ("j", "step-3"), ("k", "step-2")):
        browser.press(key)
        assert browser.run(focused) == place
    browser.press("Enter")
    assert browser.run("document.getElementById('step-2').open")
    browser.press("a")
    assert browser.run("[...document.querySelectorAll('details')].every(step => step.open)")
    browser.press("a")
    assert not browser.run("[...document.querySelectorAll('details')].some(step => step.open)")
    # By the keys of any page: the first stop leads over the lanes, and then comes a box.
    browser.open(opened)
    browser.press("Tab")
    assert browser.run("document.activeElement.className") == "skip"
    browser.press("Tab")
    assert browser.run("document.activeElement.className") == "lanes"
    browser.press("Tab")
    assert browser.run("document.activeElement.getAttribute('href')") == "#step-1"
    browser.press("Enter")
    browser.wait_for("document.getElementById('step-1').open")
    assert browser.run(focused) == "step-1"
    assert browser.troubles() == []


@requires("chromium")
@pytest.mark.longest(120)
def test_a_link_to_a_step_opens_it(opened: Path, browser: Browser) -> None:
    browser.open(opened, "#step-5")
    browser.wait_for("document.querySelector('details[open]') !== null")
    assert browser.run("[...document.querySelectorAll('details[open]')].map(one => one.id)") == [
        "step-5"
    ]


@requires("chromium")
@pytest.mark.longest(120)
def test_light_and_dark_can_be_read(opened: Path, browser: Browser) -> None:
    browser.open(opened)
    browser.press("a")
    for dark in (False, True):
        browser.dark(dark)
        colors = browser.run(CONTRASTS)
        assert (sum(colors[0][1]) < 384) is dark
        for ink, paper, what in colors:
            assert contrast(ink, paper) >= 4.5, (what, ink, paper, dark)


CONTRASTS = """(() => {
  const rgb = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const paper = node => { for (; node; node = node.parentElement) {
    const found = getComputedStyle(node).backgroundColor;
    if (!found.endsWith(", 0)")) return rgb(found); } return [255, 255, 255]; };
  return ["body", "h2", "summary", "summary b", "small", "details pre", "ol a", "kbd"].map(what => {
    const node = document.querySelector(what);
    return [rgb(getComputedStyle(node).color), paper(node), what]; });
})()"""


def contrast(one: list[float], other: list[float]) -> float:
    """Web Content Accessibility Guidelines 2.1, contrast ratio: 4.5 at least for a text."""

    def luminance(color: list[float]) -> float:
        parts = [value / 255 for value in color]
        linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@requires("chromium")
@pytest.mark.longest(120)
def test_a_trace_is_in_its_time(browser: Browser, tmp_path: Path) -> None:
    target = tmp_path / "trace.html"
    target.write_text(page(some(), TRACES))
    browser.open(target)
    assert browser.troubles() == []
    widths = browser.run(
        "[...document.querySelectorAll('svg .box rect')].map(box => box.width.baseVal.value)"
    )
    assert widths[1] == pytest.approx(2 * widths[0], rel=0.02)
    assert browser.run("document.querySelector('#step-4').open")
    assert browser.run("document.querySelectorAll('svg .bad').length") == 1
