"""Looks and frame of the page of genetics, and the few lines of script that sort its tables."""

import html

STYLE = """
:root {
  color-scheme: light dark;
  --back: #fff; --panel: #f5f7f9; --text: #14181d; --dim: #55606b; --line: #d5dae0; --link: #0b4f9c; --mark: #0072b2;
  --soft: #cfe3f1; --warn: #fdf1dc; --warn-line: #c98a00; --bad: #b3400a; --good: #00694b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14171b; --panel: #1c2127; --text: #eceff2; --dim: #a9b4be; --line: #3a434c; --link: #8ec2ff;
    --mark: #56b4e9; --soft: #24425a; --warn: #352b16; --warn-line: #d9a441; --bad: #ff9f6b; --good: #5fd3ae;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 12px; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
.page { max-width: 1240px; margin: 0 auto; padding: 18px 22px 70px; }
@media (min-width: 1000px) {
  .page { display: grid; grid-template-columns: 190px minmax(0, 1fr); gap: 0 36px; }
  header { grid-column: 1 / -1; }
  nav { position: sticky; top: 16px; align-self: start; max-height: calc(100vh - 32px); overflow-y: auto; }
}
main { min-width: 0; }
h1 { font-size: 25px; line-height: 1.25; margin: 6px 0; } h3 { font-size: 15px; margin: 22px 0 6px; }
h2 { font-size: 19px; margin: 46px 0 8px; padding-top: 14px; border-top: 1px solid var(--line); }
main > section:first-child h2 { margin-top: 10px; }
p, li { max-width: 82ch; } p { margin: 8px 0; } a { color: var(--link); }
.sub, .means, figcaption, caption { color: var(--dim); } .sub { margin: 0 0 14px; }
nav ol { list-style: none; margin: 6px 0; padding: 0; font-size: 14px; } nav a { text-decoration: none; }
nav li { padding: 3px 0; } nav a:hover { text-decoration: underline; } nav .absent a { color: var(--dim); }
@media (max-width: 999px) { nav ol { columns: 2; } }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; margin: 14px 0; }
.card { background: var(--panel); border-radius: 8px; padding: 10px 14px; }
.card b { display: block; font-size: 23px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.card span { color: var(--dim); font-size: 13px; }
.note { border-left: 4px solid var(--warn-line); background: var(--warn); padding: 8px 12px; margin: 12px 0; }
.note p { margin: 2px 0; } .absent-part { color: var(--dim); font-style: italic; }
.wide { overflow-x: auto; margin: 10px 0; background:
  linear-gradient(to right, var(--back) 30%, transparent) left / 40px 100%,
  linear-gradient(to left, var(--back) 30%, transparent) right / 40px 100%,
  linear-gradient(to right, var(--line), transparent) left / 12px 100%,
  linear-gradient(to left, var(--line), transparent) right / 12px 100%;
  background-repeat: no-repeat; background-attachment: local, local, scroll, scroll; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 2px 0 4px; caption-side: top; }
th, td { text-align: left; vertical-align: top; padding: 5px 13px 5px 0; border-bottom: 1px solid var(--line); }
th { font-weight: 400; } thead th { font-weight: 600; vertical-align: bottom; } td b { font-weight: 700; }
td.n, th.n { text-align: right; } td.n, td.s, tbody th { white-space: nowrap; }
tbody tr:hover { background: var(--panel); }
td.text { min-width: 16ch; max-width: 46ch; overflow-wrap: anywhere; }
thead button { all: unset; cursor: pointer; } thead button:focus-visible { outline: 2px solid var(--link); }
thead button::after { content: "\\00a0\\2195"; color: var(--dim); font-weight: 400; }
th[aria-sort=ascending] button::after { content: "\\00a0\\2191"; color: var(--text); }
th[aria-sort=descending] button::after { content: "\\00a0\\2193"; color: var(--text); }
.bar { display: block; width: 110px; height: 4px; background: var(--soft); border-radius: 2px; margin: 3px 0 2px; }
.bar i { display: block; height: 100%; min-width: 1px; background: var(--mark); border-radius: 2px; }
.nil { color: var(--dim); opacity: 0.6; }
.forest { display: grid; grid-template-columns: max-content minmax(90px, 420px) max-content; gap: 5px 16px;
  align-items: center; font-size: 13.5px; margin: 12px 0; font-variant-numeric: tabular-nums; }
.row { display: contents; }
.forest .axis { color: var(--dim); font-size: 12px; position: relative; height: 18px; }
.forest .axis span { position: absolute; transform: translateX(-50%); }
.track { position: relative; height: 16px;
  background: linear-gradient(var(--line), var(--line)) 0 50% / 100% 1px no-repeat; }
.track i { position: absolute; top: 6px; height: 4px; background: var(--mark); }
.track b { position: absolute; top: 2px; width: 12px; height: 12px; margin-left: -6px; border-radius: 50%;
  background: var(--mark); border: 2px solid var(--back); }
.track u { position: absolute; top: 0; bottom: 0; width: 0; border-left: 1px dashed var(--dim); }
.track.other i, .track.other b { background: var(--warn-line); } .track.other b { border-radius: 2px; }
.track .more { position: absolute; top: -3px; color: var(--dim); background: none; font-style: normal; height: auto; }
@media (max-width: 600px) {
  tbody th { white-space: normal; }
  .page { padding: 12px 14px 50px; } h1 { font-size: 22px; }
  .forest, .row { display: block; } .row { display: grid; grid-template-columns: 1fr max-content; margin-bottom: 8px; }
  .row .track, .row .axis { grid-area: 2 / 1 / 3 / 3; margin: 0 12px; }
}
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 14px; max-width: 760px; }
svg { width: 100%; height: auto; overflow: visible; } svg text { fill: var(--dim); font-size: 11px; }
svg .dot { fill: var(--mark); fill-opacity: 0.45; } svg .box { fill: none; stroke: var(--line); }
svg .column { fill: var(--mark); }
figure { margin: 18px 0; } figure img { max-width: 100%; background: #fff; border-radius: 4px; padding: 6px; }
figcaption { font-size: 13px; max-width: 95ch; }
.pill { border: 1px solid; border-radius: 9px; padding: 0 8px; font-size: 12px; white-space: nowrap; }
.pill.bad { color: var(--bad); } .pill.good { color: var(--good); } .pill.dim { color: var(--dim); }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--link); }
pre { background: var(--panel); border-radius: 6px; padding: 9px 12px; font-size: 12.5px; line-height: 1.45;
  white-space: pre-wrap; overflow-wrap: anywhere; margin: 6px 0; }
code { font-size: 13px; overflow-wrap: anywhere; } sup { line-height: 0; font-size: 75%; }
td.pair { padding-left: 10px; white-space: nowrap; }
td.heat { background: color-mix(in srgb, var(--hue) var(--share), transparent); }
@media print { nav { display: none; } .page { display: block; } details > * { display: block; } }
"""

# sorts a table by the column whose heading is pressed; numbers stand in data-v, empty cells come last
SCRIPT = """
document.querySelectorAll("thead button").forEach(button => button.addEventListener("click", () => {
  const head = button.closest("th"), table = head.closest("table"), body = table.tBodies[0];
  const place = [...head.parentNode.children].indexOf(head);
  const down = head.getAttribute("aria-sort") === "ascending";
  const value = row => row.cells[place].dataset.v ?? row.cells[place].textContent;
  const rows = [...body.rows].map(row => [value(row), row]);
  const numeric = rows.every(([text]) => text === "" || !isNaN(text));
  rows.sort(([a], [b]) => {
    if ((a === "") !== (b === "")) return a === "" ? 1 : -1;
    const order = numeric ? a - b : a.localeCompare(b, undefined, {numeric: true});
    return down ? -order : order;
  });
  table.querySelectorAll("th[aria-sort]").forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  body.append(...rows.map(([, row]) => row));
}));
"""


def frame(title: str, under: str, contents: list[tuple[str, str, bool]], body: str) -> str:
    """Put the page around its body.

    Parameters
    ----------
    title, under : str
        Heading and the line below it; ``under`` is HTML.
    contents : list of (str, str, bool)
        Of each section its id, its title and whether there is something in it.
    body : str
        HTML.
    """
    title = html.escape(title)
    items = "".join(
        f'<li{"" if there else " class=absent"}><a href="#{name}">{html.escape(words)}</a></li>'
        for name, words, there in contents
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{title}</title>\n<link rel="icon" href="data:,">\n<style>{STYLE}</style>\n</head>\n<body>\n'
        f'<div class="page">\n<header><h1>{title}</h1><p class="sub">{under}</p></header>\n'
        f'<nav aria-label="Sections"><ol>{items}</ol></nav>\n<main>\n{body}\n</main>\n</div>\n'
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
