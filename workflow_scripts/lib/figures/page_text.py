"""Words and looks of the page of comparisons."""

import html
from collections.abc import Mapping

STYLE = """
:root {
  color-scheme: light dark;
  --back: #fff; --text: #14181d; --dim: #4b5560; --line: #c3c8cf; --odd: #fdf1dc; --link: #0b4f9c;
}
@media (prefers-color-scheme: dark) {
  :root { --back: #15181c; --text: #eceff2; --dim: #aab4be; --line: #424b55; --odd: #3a2f17; --link: #8ec2ff; }
}
body {
  margin: 0 auto; max-width: 1250px; padding: 12px 20px 60px;
  background: var(--back); color: var(--text); font: 15px/1.45 system-ui, sans-serif;
}
h1 { font-size: 22px; } h2 { font-size: 18px; margin-top: 34px; } p, li { max-width: 95ch; }
a { color: var(--link); } summary { cursor: pointer; margin: 8px 0; } code { font-size: 13px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; margin: 8px 0; }
caption { text-align: left; color: var(--dim); padding: 4px 0; }
th, td {
  text-align: left; vertical-align: top; padding: 4px 14px 4px 4px; border-bottom: 1px solid var(--line);
  font-weight: 400;
}
thead th { font-weight: 600; vertical-align: bottom; } b { font-weight: 700; }
tr.odd th, tr.odd td { background: var(--odd); }
nav ul { columns: 3; padding-left: 20px; }
figure { margin: 20px 0; } img { max-width: 100%; background: #fff; } figcaption { color: var(--dim); font-size: 13px; }
"""
INTERSECTION = (
    "Two representations can only be compared on scans that both have, and all comparisons of a task use the same "
    "ones: those of every representation that was asked the task. A table that lacks scans therefore takes them out of "
    "the comparison for all. Every model still trains on all the scans that its own representation has."
)
FEW_PEOPLE = (
    "There are fewer than 300 people here: DeLong's p-values and the intervals over people are too sure, the more so "
    "the fewer people, and do not count; with fewer than 120 the pool-corrected t test is somewhat too sure as well."
)
READINGS = {
    "paired": "swapping the two values of random resamples (paired reading)",
    "unpaired": "dealing out the values of both at random (literal, unpaired reading)",
}
RULES = {
    "add_one": "the observed order counts as a permutation, so p is never 0",
    "literal": "literally, so that p can be 0",
}


def introduction(options: Mapping[str, object], n_tasks: int) -> str:
    """Write what the page compares and how to read it.

    Parameters
    ----------
    options : dict
        permutation, p_rule, n_permutations, n_swaps, n_bootstrap, level.
    n_tasks : int
    """
    reading, rule = READINGS[str(options["permutation"])], RULES[str(options["p_rule"])]
    return (
        f"<p>Linear heads on frozen representations, {n_tasks} tasks, every pair. Two kinds of p-value stand side by "
        "side because they answer different questions.</p>"
        f"<p><b>Published</b>: {options['n_permutations']} permutations by {reading}; {rule}. Its null hypothesis "
        "is about resamples of this very pool of people. Its p falls with the number of resamples, which anybody can "
        "raise, and it rejects most true null hypotheses about the population.</p>"
        "<p><b>Valid for the population</b>: the pool-corrected resampled t test, which widens the variance by the "
        "overlap of resamples; and tests over participants on mean held-out scores, DeLong's (AUC; Obuchowski's form "
        f"where people have several scans) and {options['n_swaps']} swaps of the two models' scores within "
        f"participants, with intervals over {options['n_bootstrap']} bootstrap draws of participants. Decide before "
        "looking which of them a claim rests on. The classical factor of Nadeau and Bengio is given for comparison; it "
        "equals the pool's where all who are not left out train.</p>"
        "<p>p-values in brackets are adjusted by Holm's rule over the pairs of the task, in bold below 0.05. Shaded "
        "rows: the published test tells the pair apart and no valid test does.</p>"
    )


def frame(title: str, body: str) -> str:
    """Put a page around its body."""
    title = html.escape(title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{title}</title>\n<link rel="icon" href="data:,">\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )
