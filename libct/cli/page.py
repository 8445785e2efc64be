"""A plan, or a trace, as one page of HTML that needs nothing else: to look at rather than to read.

At the top the processes are lanes, with the steps in their order (of a trace: in their time)
and the hand-overs as arrows; below, each step has its system calls, each a link to its man page,
and its place in the configuration with what is there.  All works without the script, which only
adds keys; nothing is loaded.
"""

from __future__ import annotations

from ..errors import printable
from ..loading import jsontext
from .lanes import bars, hand_overs, lanes
from .page_style import SCRIPT, STYLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..plan.step import Plan, Step
    from .lanes import Bar, Traces

_LANE = 46  # height of a lane; all sizes are in pixels of the drawing
_BOX = 22
_LEFT = 110  # for the names of lanes
_TOP = 30  # for the scale
_STEP = 12  # width of a step by the plan alone, unless there are very many
_WIDE = 1100  # of a trace, and of a plan at most
_NARROWEST = 3  # so that it can be seen, and clicked on
_LONGEST = 2000  # characters of the configuration at one place
_TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
    ' orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
)
_MAN = "https://man7.org/linux/man-pages/man2/{}.2.html"
# Calls that have their page under another name; those of the C library's own words are in 2, too.
_PAGES = {
    "clone3": "clone",
    "openat": "open",
    "waitid": "wait",
    "fchdir": "chdir",
    "mkdirat": "mkdir",
    "mknodat": "mknod",
    "symlinkat": "symlink",
    "fchownat": "chown",
    "fchown": "chown",
    "fchmod": "chmod",
    "sendto": "send",
    "sendmsg": "send",
    "umount2": "umount",
    "setresgid": "setresuid",
    "prlimit64": "getrlimit",
    "unlinkat": "unlink",
}


def page(
    plan: Plan, traces: Traces | None = None, *, spec: Any = None, title: str = "container"
) -> str:
    """spec: the values of config.json, if there is one, to be shown beside the steps."""
    shown = bars(plan, traces)
    what = "Plan" if traces is None else "Trace"
    said = f"{what} of {title}: {len(shown)} of {len(plan)} steps"
    if traces is None:
        said = f"{what} of {title}: {len(plan)} steps"
    elif shown:
        said += f", {_time(max(bar.end for bar in shown))}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\';'
        " style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        f"<title>{_text(said)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#steps">Skip to the steps</a>\n<h1>{_text(said)}</h1>\n'
        "<p>Each lane is a process, each box a step; an arrow is where one process goes on for"
        " another. Keys: <kbd>j</kbd> and <kbd>k</kbd> for the next step and the one before,"
        " <kbd>Enter</kbd> to open it, <kbd>a</kbd> to open or close all.</p>\n"
        f"{_drawing(shown, timed=traces is not None)}\n"
        f'<main id="steps">\n{_steps(shown, spec)}</main>\n<script>{SCRIPT}</script>\n'
        "</body>\n</html>\n"
    )


def _text(text: str) -> str:
    """As HTML has it; what a terminal would not show is written out."""
    shown = printable(text, "\n\t")
    for letter, name in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot"), ("'", "#39")):
        shown = shown.replace(letter, f"&{name};")
    return shown


def _time(nanoseconds: float) -> str:
    if nanoseconds < 1_000_000:
        return f"{nanoseconds / 1000:.0f} \u00b5s"
    return f"{nanoseconds / 1_000_000:.2f} ms"


# --- the lanes ----------------------------------------------------------------------------------


def _drawing(shown: list[Bar], *, timed: bool) -> str:
    """The lanes, as SVG."""
    order = lanes(shown)
    end = max((bar.end for bar in shown), default=1) or 1
    scale = (_WIDE if timed else min(_WIDE, len(shown) * _STEP)) / end
    width = round(_LEFT + end * scale) + 20
    height = _TOP + len(order) * _LANE + 10
    middle = {name: _TOP + at * _LANE + _LANE // 2 for at, name in enumerate(order)}
    parts = [
        '<div class="lanes" tabindex="0" role="group" aria-label="processes and their steps">',
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        _TIP,
    ]
    for name, line in middle.items():
        parts.append(f'<line class="lane" x1="{_LEFT}" x2="{width}" y1="{line}" y2="{line}"/>')
        parts.append(f'<text x="4" y="{line + 4}">{_text(name)}</text>')
    if timed:
        for part in range(5):
            at = _LEFT + part * end * scale / 4
            parts.append(f'<text class="scale" x="{at:.0f}" y="16">{_time(part * end / 4)}</text>')
    for bar in shown:
        x, y = _LEFT + bar.start * scale, middle[bar.lane] - _BOX / 2
        wide = max(bar.duration * scale - (0 if timed else 2), _NARROWEST)
        kind = " ".join(
            name
            for name, holds in (("aside", bar.aside), ("bad", bar.result not in ("", "ok")))
            if holds
        )
        said = f"{bar.number}. {bar.step.title}"
        said += f" ({_time(bar.duration)})" if timed else ""
        parts.append(
            f'<a href="#step-{bar.number}" class="box {kind}" aria-label="{_text(said)}">'
            f"<title>{_text(said)}</title>"
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{_BOX}" rx="2"/></a>'
        )
    for one in hand_overs(shown):
        x1, y1 = _LEFT + one.after.end * scale, middle[one.after.lane]
        x2, y2 = _LEFT + one.before.start * scale, middle[one.before.lane]
        side = _BOX / 2 if y2 > y1 else -_BOX / 2
        kind = "clone" if one.cloned else "turn"
        parts.append(
            f'<line class="{kind}" marker-end="url(#tip)" x1="{x1 - 1:.1f}" y1="{y1 + side:.1f}"'
            f' x2="{x2 + 1:.1f}" y2="{y2 - side:.1f}"/>'
        )
    return "\n".join([*parts, "</svg></div>"])


# --- the steps ----------------------------------------------------------------------------------


def _steps(shown: list[Bar], spec: Any) -> str:
    text, heading = "", ""
    for bar in shown:
        step = bar.step
        if heading != f"{step.process}: {step.phase}":
            heading = f"{step.process}: {step.phase}"
            text += "</section>\n" * bool(text) + f"<section>\n<h2>{_text(heading)}</h2>\n"
        text += _step(bar, spec)
    return text + "</section>\n" * bool(text)


def _step(bar: Bar, spec: Any) -> str:
    step = bar.step
    bad = bar.result not in ("", "ok")
    facts = f"<span>{_text(_time(bar.duration))}</span>" if bar.result else ""
    if step.why:
        facts += f"<code>{_text(step.why)}</code>"
    text = (
        f'<details id="step-{bar.number}"{" open" if bad else ""}>\n<summary>'
        f"<b>{bar.number}</b> {_text(step.title)} <small>{facts}</small></summary>\n"
        '<div class="inside">\n<div>\n'
    )
    if bad:
        text += f'<p class="bad">{_text(bar.result)}</p>\n'
    calls = "".join(f"<li><code>{_call(call)}</code></li>\n" for call in step.calls)
    text += f"<ol>\n{calls}</ol>\n" if calls else "<p>no system call of its own</p>\n"
    text += f"<p>performed by <code>{_text(step.performer)}</code></p>\n</div>\n"
    text += _place(step, spec)
    return text + "</div>\n</details>\n"


def _call(call: str) -> str:
    """A call, its name a link to its man page; before it may stand when it is made."""
    before, paren, after = call.partition("(")
    name = before.rpartition(" ")[2]
    if not paren or not name.replace("_", "").isalnum():
        return _text(call)
    link = _MAN.format(_PAGES.get(name, name))
    start = before[: len(before) - len(name)]
    return f'{_text(start)}<a href="{link}" rel="noreferrer">{name}</a>{_text(paren + after)}'


def _place(step: Step, spec: Any) -> str:
    """What config.json has at the place of a step."""
    if not step.why or spec is None:
        return ""
    found = at_place(spec, step.why)
    if found is None:
        return ""
    text = jsontext.dumps(found, indent=2)
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + " ..."
    return f"<pre><b>{_text(step.why)}</b>\n{_text(text)}</pre>\n"


def at_place(spec: Any, place: str) -> Any:
    """The value at a place, "linux.maskedPaths[2]"; None where there is nothing."""
    rest = place
    while rest and spec is not None:
        if rest.startswith("["):
            index, _, rest = rest[1:].partition("]")
            inside = isinstance(spec, list) and index.isdigit() and int(index) < len(spec)
            spec = spec[int(index)] if inside else None
        else:
            # Names may have dots in them: the longest that is there.
            names = [name for name in spec if _begins(rest, name)] if isinstance(spec, dict) else []
            name = max(names, key=len, default=None)
            spec, rest = (None, "") if name is None else (spec[name], rest[len(name) :])
        rest = rest.removeprefix(".")
    return spec


def _begins(place: str, name: str) -> bool:
    return place == name or place.startswith((f"{name}.", f"{name}["))
