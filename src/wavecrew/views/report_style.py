"""The style sheet and the little script of the HTML report.

What it does: one calm page for light and dark, wide and narrow screens and paper; the script sorts and filters tables
and switches the theme, and everything is there without it.
What it does not know: what stands on the page. No foreign text ever comes into either.
"""

from __future__ import annotations

import re
from typing import Final

from wavecrew.views.report_cells import COLUMNS, SHAPES
from wavecrew.views.svg_parts import style

SCOPE: Final = "wavecrew-plan"
"""The class of the drawing of the plan, which shares its colours with the page."""
_PARTS: Final = style(SCOPE).removeprefix("<style>").removesuffix("</style>").split("\n", 2)
LIGHT: Final = _PARTS[0].partition("{")[2].rstrip("}")
DARK: Final = _PARTS[1].split("{")[2].rstrip("}")
_DRAWING: Final = re.sub(r"background:var\(--bg\);|^.* text\{font-family.*\n", "", _PARTS[2], flags=re.MULTILINE)

_PAGE: Final = """\
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth;background:var(--bg)}
body{margin:0;background:var(--bg);color:var(--text);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main,header,footer{max-width:1180px;margin:0 auto;padding:0 28px}
header{padding-top:40px}
h1{font-size:28px;line-height:1.2;margin:0 0 4px;font-weight:650;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:19px;line-height:1.3;margin:52px 0 10px;font-weight:650;scroll-margin-top:12px}
h3{font-size:15px;margin:26px 0 6px;font-weight:650}
p,ul,ol,dl.words{max-width:80ch;margin:8px 0}
p,li,dd,td,th{overflow-wrap:anywhere}
ul,ol{padding-left:22px}
.soft,small,caption{color:var(--soft)}
small{font-size:13px}
a{color:var(--key)}
bdi.c,code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.9em}
code{background:var(--band);padding:1px 5px;border-radius:4px}
:focus-visible{outline:3px solid var(--key);outline-offset:2px;border-radius:4px}
.skip{position:absolute;left:-999px}
.skip:focus{left:12px;top:8px;background:var(--bg);padding:6px 10px;z-index:2}
nav{display:flex;flex-wrap:wrap;gap:4px 18px;margin:22px 0 0;padding:10px 0;border-top:1px solid var(--rim);
border-bottom:1px solid var(--rim);font-size:14px}
nav a{text-decoration:none}nav a:hover{text-decoration:underline}
b{display:inline-flex;align-items:center;gap:6px;font-weight:600;white-space:nowrap}p>b{white-space:normal}
b::before{content:"";width:12px;height:12px;background:currentColor;flex:none}
SHAPES.badge{padding:2px 10px 2px 8px;border-radius:99px;border:1.5px solid currentColor;font-size:14px}
.under{display:flex;flex-wrap:wrap;gap:6px 14px;align-items:center;margin:10px 0 0}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:18px 26px;margin:26px 0 0}
.figures div{min-width:0}
.figures dt{font-size:13px;color:var(--soft)}
.figures dd{margin:0;font-size:20px;line-height:1.3;font-weight:600;font-variant-numeric:tabular-nums}
.figures dd small{display:block;font-weight:400;line-height:1.35}
.scroll{overflow:auto;max-width:100%;border:1px solid var(--rim);border-radius:8px;margin:12px 0}
.tall{max-height:78vh}
table{border-collapse:collapse;width:100%;font-size:14px;line-height:1.4}
caption{text-align:left;padding:0 0 6px;font-size:13px}
th,td{padding:6px 12px;text-align:left;vertical-align:top;border-bottom:1px solid var(--band)}
thead th{position:sticky;top:0;background:var(--bg);border-bottom:1px solid var(--rim);font-size:13px;font-weight:600;
color:var(--soft);white-space:nowrap;z-index:1}
tbody tr:last-child>*{border-bottom:0}
tbody th{font-weight:600;min-width:23ch}
FIGURES{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td small{display:block}
i{color:var(--soft);font-weight:400}
TEXTS{min-width:26ch;max-width:64ch}
thead button{font:inherit;color:inherit;background:none;border:0;padding:0;cursor:pointer}
thead button::after{content:" \\2195";opacity:.55}
th[aria-sort=ascending] button::after{content:" \\2191";opacity:1}
th[aria-sort=descending] button::after{content:" \\2193";opacity:1}
.tools{display:flex;flex-wrap:wrap;gap:8px 14px;align-items:center;margin:12px 0;font-size:14px}
.tools[hidden]{display:none}
input,.tools button{font:inherit;color:var(--text);background:var(--bg);border:1px solid var(--edge);border-radius:6px;
padding:4px 10px}
input{width:min(100%,30ch)}
.tools button{cursor:pointer}
details{margin:10px 0}
summary{cursor:pointer;font-weight:600;padding:2px 0}
pre{background:var(--band);border-radius:8px;padding:12px 14px;overflow:auto;max-height:420px;white-space:pre;
line-height:1.45;margin:8px 0}
.plain{list-style:none;padding:0}
.plain>li{padding:5px 0}
.card{border-left:4px solid currentColor;padding:2px 0 2px 16px;margin:14px 0}
.card>*{color:var(--text)}.card>b{color:inherit}
.share,.share rect{height:26px}.share{display:block;width:100%;border-radius:6px;overflow:hidden}
.key,.key rect{width:22px;height:12px}.key{display:inline-block;vertical-align:-1px;margin-right:8px}
.legend{display:flex;flex-wrap:wrap;gap:4px 22px;font-size:13px;color:var(--soft);margin:8px 0;max-width:none}
.f-work,.f-chain{fill:var(--key)}.f-other{fill:var(--work);opacity:.62}
.f-vain{fill:url(#p-vain)}.f-lock{fill:url(#p-lock)}.f-people{fill:url(#p-people)}
.f-account,.f-retry{fill:url(#p-retry)}.f-pause{fill:var(--rim)}.f-open{fill:var(--soft);opacity:.45}
.time{table-layout:fixed;font-size:13px}
.time th,.time td{padding:1px 8px;border:0;vertical-align:middle}
.time th{width:30ch;min-width:0;font-weight:500}
.time thead th{padding:6px 8px}
.time thead th+th{width:auto}
.time svg{display:block;width:100%;height:18px;overflow:visible}
.time .axis{height:16px}.time .axis text{font-size:11.5px;fill:var(--soft)}
.time .lane{position:relative;padding:0}
.time tbody tr:hover{background:var(--band)}
.time rect{y:4px;height:10px}
.time .f-chain{y:1px;height:16px}.time .f-vain{y:2px;height:14px}
.time .f-people{stroke:var(--clash)}.time .f-lock{stroke:var(--wait)}.time .f-vain{stroke:var(--fail)}
.time .f-lock,.time .f-people,.time .f-retry,.time .f-account{y:5px;height:8px}
BARS{width:180px;min-width:120px}
.part{display:block;width:100%;height:10px;margin-top:5px;background:var(--band)}.part rect{height:10px;rx:2px}
.wavecrew-plan>g{font-size:11.5px;fill:var(--soft)}
.wavecrew-plan{display:block;margin:0 auto;height:auto}
.wide .wavecrew-plan{max-width:none}
footer{margin:60px auto 40px;padding-top:16px;font-size:13px;color:var(--soft);max-width:1180px}
.defs{position:absolute;width:0;height:0}
@media (max-width:640px){
main,header,footer{padding:0 16px}header{padding-top:24px}
h1{font-size:23px}h2{margin-top:42px}
.figures{grid-template-columns:repeat(2,minmax(0,1fr));gap:14px 18px}.figures dd{font-size:17px}
.time,.time tbody,.time tr,.time td,.time th{display:block;width:auto}
.time thead,.time th{background:none}.time th{padding:7px 10px 0;white-space:normal}
.time td{padding:0 10px 3px}.time thead th:first-child{display:none}
th,td{padding:6px 7px}tbody th{min-width:13ch}TEXTS{min-width:18ch}BARS{display:none}
}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}*{animation:none!important;transition:none!important}}
@media (forced-colors:active){b::before{background:CanvasText;forced-color-adjust:none}}
@page broad{size:landscape}
@media print{
:root{color-scheme:light}body{font-size:11pt}
.tools,nav,.skip{display:none!important}.scroll,pre,.tall{overflow:visible;max-height:none;border:0}
thead th{position:static}thead,tr,li,.card{break-inside:avoid}h2,h3,h2+p,h3+p{break-after:avoid}
section:has(.broad){page:broad}details::details-content{content-visibility:visible}
.wavecrew-plan,.wide .wavecrew-plan{max-width:100%;height:auto}pre{white-space:pre-wrap}
main,header,footer{max-width:none;padding:0}
table{font-size:8.5pt}th,td{padding:3px 6px}tbody th{min-width:17ch}
td{overflow-wrap:break-word}TEXTS{min-width:0;overflow-wrap:anywhere}
thead button{display:contents}
svg,b::before{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""

_GRID: Final = (
    ".time tbody td{background:repeating-linear-gradient(90deg,var(--band) 0 1px,transparent 1px STEP) content-box}\n"
)

SCRIPT: Final = """\
'use strict';
for (const tools of document.querySelectorAll('.tools')) tools.hidden = false;
const root = document.documentElement;
const theme = document.getElementById('theme');
const themes = ['auto', 'dark', 'light'];
if (theme) theme.addEventListener('click', () => {
  const next = themes[(themes.indexOf(root.dataset.theme || 'auto') + 1) % 3];
  if (next === 'auto') delete root.dataset.theme; else root.dataset.theme = next;
  theme.textContent = 'Theme: ' + next;
});
const filter = document.getElementById('filter');
const told = document.getElementById('told');
if (filter) filter.addEventListener('input', () => {
  const wanted = filter.value.toLowerCase().trim();
  let shown = 0;
  for (const row of document.querySelectorAll('table.filtered tbody tr')) {
    row.hidden = !row.textContent.toLowerCase().includes(wanted);
    if (!row.hidden && row.closest('table').classList.contains('count')) shown += 1;
  }
  told.textContent = wanted ? shown + ' phases match' : '';
});
const units = {d: 86400, h: 3600, m: 60, k: 1e3, M: 1e6, G: 1e9};
const value = (row, place) => {
  const words = row.cells[place].textContent.trim();
  if (!row.closest('table').classList.contains('n' + (place + 1))) return words;
  const parts = [...words.split(' ')[0].matchAll(/([\\d.,]+)([dhmkMG]?)/g)];
  if (!parts.length) return words;
  const sum = parts.reduce((all, [, n, unit]) => all + n.replaceAll(',', '') * (units[unit] || 1), 0);
  return words.startsWith('-') ? -sum : sum;
};
for (const table of document.querySelectorAll('table.sorted')) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      heads.forEach(other => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const x = value(a, place), y = value(b, place);
        if (typeof x !== typeof y) return typeof x === 'number' ? -1 : 1;
        const order = typeof x === 'number' ? x - y : x.localeCompare(y, undefined, {numeric: true});
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}
addEventListener('beforeprint', () => {
  for (const one of document.querySelectorAll('details')) one.open = true;
});
"""


def sheet(step: float = 0.0) -> str:
    """The whole style sheet; `step` is the distance of the lines of the time line in percent, if there are any."""
    grid = _GRID.replace("STEP", f"{step:.4g}%") if step > 0 else ""
    return (
        f":root{{color-scheme:light dark;{LIGHT}}}\n"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{DARK}}}}}\n"
        f":root[data-theme=dark]{{color-scheme:dark;{DARK}}}\n:root[data-theme=light]{{color-scheme:light}}\n"
        f"@media print{{:root,:root:not([data-theme=light]),:root[data-theme=dark]{{{LIGHT}}}}}\n"
        f"{_filled(_PAGE)}{grid}{_DRAWING}"
    )


def _filled(page: str) -> str:
    """The sheet with the columns of tables and the shapes of states in it."""
    shapes = (
        f'.{name}{{color:var(--{colour})}}.{name}::before{{clip-path:path("{path}")}}\n'
        for name, (path, colour) in SHAPES.items()
    )
    page = page.replace("SHAPES", "".join(shapes))
    for word, kind in (("FIGURES", "n"), ("TEXTS", "w"), ("BARS", "b")):
        page = page.replace(word, f":is({','.join(COLUMNS[kind])})")
    return page
