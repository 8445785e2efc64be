"""How a page of page.py looks, and what its keys do."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #f2f4f7; --line: #c3c9d1;
  --dim: #57606a; --box: #2f6fb1; --aside: #8a6fb8; --bad: #b3261e; --turn: #57606a;
  --clone: #14804a; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #14171a; --soft: #1f2429;
  --line: #454c54; --dim: #a3abb5; --box: #6aa9ea; --aside: #b79ce0; --bad: #ff8a80;
  --turn: #a3abb5; --clone: #58c98b; --link: #8cc2ff; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 80rem; margin: 1rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
a { color: var(--link); }
.skip { position: absolute; left: -99rem; } .skip:focus { position: static; }
code, pre, kbd { font: 13px/1.45 ui-monospace, monospace; }
kbd { border: 1px solid var(--line); border-radius: 3px; padding: 0 .3em; }
.lanes { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px;
  background: var(--soft); }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .scale { fill: var(--dim); font-size: 11px; }
svg .lane { stroke: var(--line); }
svg .box rect { fill: var(--box); stroke: var(--soft); stroke-width: .6; }
svg .aside rect { fill: var(--aside); }
svg .bad rect { fill: var(--bad); }
svg .box:hover rect, svg .box:focus rect { stroke: var(--ink); stroke-width: 2; }
svg .turn, svg .clone { stroke: var(--turn); stroke-width: 1.3; stroke-dasharray: 3 2; }
svg .clone { stroke: var(--clone); stroke-width: 2; stroke-dasharray: none; }
svg marker path { fill: context-stroke; }
details { border-top: 1px solid var(--line); }
.inside { margin: .2rem 0 .8rem 2.4rem; }
.inside pre { background: var(--soft); padding: .5rem; margin: .3rem 0; overflow-x: auto;
  border-radius: 4px; }
summary { cursor: pointer; padding: .25rem .2rem; }
summary b { display: inline-block; min-width: 1.8rem; color: var(--dim); }
small { float: right; color: var(--dim); } small > * { margin-left: 1rem; }
details:target > summary { background: var(--soft); }
:focus-visible { outline: 2px solid var(--box); outline-offset: 1px; }
ol { margin: 0; padding-left: 1.2rem; } ol code { overflow-wrap: anywhere; }
p.bad { color: var(--bad); font-weight: 600; }
@media (min-width: 60rem) { .inside { display: grid; grid-template-columns: 3fr 2fr; gap: 1rem; } }
@media print { .lanes { overflow: visible; } }
"""

# What a link of the lanes leads to is opened; j, k and a are keys.
SCRIPT = """
"use strict";
const steps = [...document.querySelectorAll("details")];
function show(step) {
  step.querySelector("summary").focus();
  step.scrollIntoView({block: "nearest"});
}
function target() {
  const step = document.getElementById(location.hash.slice(1));
  if (step && step.localName === "details") { step.open = true; show(step); }
}
addEventListener("hashchange", target);
target();
addEventListener("keydown", event => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const at = steps.findIndex(step => step.contains(document.activeElement));
  if (event.key === "j") show(steps[Math.min(at + 1, steps.length - 1)]);
  else if (event.key === "k") show(steps[Math.max(at - 1, 0)]);
  else if (event.key === "a") {
    const open = !steps.every(step => step.open);
    for (const step of steps) step.open = open;
  }
});
"""
