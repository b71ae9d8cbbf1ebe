"""Ways to damage a text file, drawn by hypothesis."""

import re

from hypothesis import strategies as st

NUMBER = re.compile(r"-?[0-9]+(?:\.(?P<decimals>[0-9]+))?")
# what a fault on a disk, an editor or a careless hand may put in; all separators among them
CHARACTERS = st.sampled_from("\0\t\n\r ,;.:-+#\"'_/$xlreN0719é\x85")


@st.composite
def truncated(draw, text: str) -> str:
    """End the file after any character."""
    return text[: draw(st.integers(0, len(text) - 1))]


@st.composite
def shuffled(draw, text: str) -> str:
    """Delete, double and swap whole lines, up to four times."""
    lines = text.splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 4))):
        one, two = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        kind = draw(st.sampled_from(["delete", "double", "swap"]))
        if kind == "delete" and len(lines) > 1:
            del lines[one]
        elif kind == "double":
            lines.insert(two, lines[one])
        else:
            lines[one], lines[two] = lines[two], lines[one]
    return "".join(lines)


@st.composite
def mistyped(draw, text: str) -> str:
    """Put another character in the place of one, in the table more often than in the header."""
    start = draw(st.sampled_from([0, max(text.find("# ColHeaders"), 0)]))
    place = draw(st.integers(start, len(text) - 1))
    return text[:place] + draw(CHARACTERS) + text[place + 1 :]


@st.composite
def dropped(draw, text: str) -> str:
    """Leave out a word or a cell."""
    words = list(re.finditer(r"[^\s,;]+[\s,;]", text))
    word = words[draw(st.integers(0, len(words) - 1))]
    return text[: word.start()] + text[word.end() :]


def damaged(text: str) -> st.SearchStrategy[str]:
    """Damage a text in one of the ways."""
    return st.one_of(truncated(text), shuffled(text), mistyped(text), dropped(text))


def exchanges_a_number(text: str, other: str, same_decimals: bool) -> bool:
    """Tell whether two texts differ by a number for another number, in the same place.

    Nobody who does not know the right one can notice that. Where all numbers of a column are printed with the same
    number of decimals, another number of them can be noticed.
    """
    words, others = re.split(r"[ \t\n,;]+", text), re.split(r"[ \t\n,;]+", other)
    if len(words) != len(others):
        return False
    for one, two in zip(words, others, strict=True):
        old, new = NUMBER.fullmatch(one), NUMBER.fullmatch(two)
        if one != two and old and new:
            return not same_decimals or len(old["decimals"] or "") == len(new["decimals"] or "")
    return False
