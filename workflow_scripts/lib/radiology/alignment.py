"""Whether two images show the same pixels: one laid on the other over shift, scale and mirror, and correlated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import fft, ndimage

FINE = 96  # side at which images are laid on each other: speckle is still seen, a caliper is not much of it
COARSE = 48  # side at which shift and scale are searched
SMOOTH = 2.5  # sd in fine pixels: what is smoother is lighting and anatomy that strangers share
SHARP = 1.0  # sd in fine pixels: what is sharper is lost by resizing, so that copies would differ in it
CONTRAST = 8.0  # sd in fine pixels of the window whose contrast is set to one
FLAT = 4.0  # grey levels: contrast below is noise of a black border and is not blown up
SCALES = (1.0, 0.93, 0.86, 0.8, 0.74)  # share of a side that the other image shows
PAD = 72  # side of the spectra: the coarse image at the strongest zoom, and some
STEPS = 30
CLOSE = 0.02  # pixels that a step moves at most, after which no other follows
HOPE = 0.25  # coarse correlation below which the fine pictures are not tried
# height of the peak in sds of its field, below which nothing is laid on anything: unrelated pictures reach 7.2 in one
# pair of a thousand, copies have 8.7 or more (.docs/duplicates.md); it is the cheap part and spares the dear one
PEAK = 7.0
SURE = 0.8  # correlation after which no other start is tried
MIN_OVERLAP = 0.5  # of the image; less is too small a strip to prove anything
FLIPS = {"none": (1, 1), "left-right": (1, -1), "up-down": (-1, 1), "both": (-1, -1)}


@dataclass(frozen=True)
class Match:
    """How one image lies on another.

    Attributes
    ----------
    correlation : float
        Of the overlap, after smooth brightness and contrast are taken out; 0 if there is too little overlap.
    overlap : float
        Share of the second image that the first covers.
    scale : (float, float)
        Rows and columns: how many pixels of the first image one of the second is.
    shift : (float, float)
        Rows and columns between the centres, as share of a side.
    """

    correlation: float
    overlap: float
    scale: tuple[float, float]
    shift: tuple[float, float]


NO_MATCH = Match(0.0, 0.0, (1.0, 1.0), (0.0, 0.0))


def shrink(images: np.ndarray, side: int, window: tuple[int, int, int, int] | None = None) -> np.ndarray:
    """Shrink square images, or a window of them, with the pixels averaged.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, S, S), also mapped from disk: read one by one.
    side : int
        Of the results in pixels.
    window : (left, top, right, bottom), optional
        In pixels; the whole image if left out.

    Returns
    -------
    (n, side, side) numpy.ndarray of float32
        Grey levels.
    """
    small = np.empty((len(images), side, side), np.float32)
    for place, image in enumerate(images):
        small[place] = Image.fromarray(np.asarray(image)).resize((side, side), Image.Resampling.BOX, box=window)
    return small


def flip(images: np.ndarray, how: str) -> np.ndarray:
    """Mirror images (..., S, S) as a name of :data:`FLIPS` says."""
    rows, columns = FLIPS[how]
    return images[..., ::rows, ::columns]


def flatten(image: np.ndarray) -> np.ndarray:
    """Keep detail between two sizes and set its contrast to one everywhere: float32 (P, P) to the same."""
    image = ndimage.gaussian_filter(image, SHARP)
    detail = image - ndimage.gaussian_filter(image, SMOOTH)
    contrast = np.sqrt(ndimage.gaussian_filter(detail**2, CONTRAST) + FLAT**2)
    return (detail / contrast).astype(np.float32)


def _spectra(flat: np.ndarray) -> np.ndarray:
    """Spectra of an image zoomed by each scale, in a padded field: complex64 (scales, PAD, PAD // 2 + 1)."""
    fields = np.zeros((len(SCALES), PAD, PAD), np.float32)
    for place, scale in enumerate(SCALES):
        side = round(COARSE / scale)
        picture = Image.fromarray(flat).resize((side, side), Image.Resampling.BILINEAR)
        start = (PAD - side) // 2
        fields[place, start : start + side, start : start + side] = picture
    return fft.rfft2(fields)


class Aligner:
    """Lays images of one array on each other.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, S, S).
    """

    def __init__(self, images: np.ndarray):
        self.flat = np.stack([flatten(image) for image in shrink(images, FINE)])
        half = FINE // COARSE
        self.coarse = self.flat.reshape(-1, COARSE, half, COARSE, half).mean(axis=(2, 4))
        self._known: dict[tuple[int, str], np.ndarray] = {}

    def _spectrum(self, image: int, how: str) -> np.ndarray:
        if (image, how) not in self._known:
            if len(self._known) > 4096:  # half a gigabyte
                self._known.clear()
            self._known[image, how] = _spectra(flip(self.flat[image], how))
        return self._known[image, how]

    def guess(self, a: int, b: int, how: str, best: int = 2) -> list[tuple[float, float, float]]:
        """Find likely scales and shifts of one image on another by cross-correlation.

        Returns
        -------
        list of (scale, row shift, column shift)
            Shifts in fine pixels of the first image; none if no peak stands out.
        """
        first, second = self._spectrum(a, how), self._spectrum(b, "none")
        zoomed = fft.irfft2(first * second[0].conj(), s=(PAD, PAD))
        wider = fft.irfft2(first[0] * second[1:].conj(), s=(PAD, PAD))
        scales = [*SCALES, *(1 / scale for scale in SCALES[1:])]
        found = []
        for scale, field in zip(scales, np.concatenate([zoomed, wider]), strict=True):
            row, column = np.unravel_index(field.argmax(), field.shape)
            shift = np.array([(row + PAD // 2) % PAD - PAD // 2, (column + PAD // 2) % PAD - PAD // 2])
            step = FINE / COARSE * min(scale, 1.0)  # a pixel of the zoomed field, in fine pixels of the first
            height = field[row, column] / (field.std() + 1e-9)
            if height >= PEAK:
                found.append((float(height), scale, *(shift * step)))
        found.sort(reverse=True)
        return [tuple(map(float, one[1:])) for one in found[:best]]

    def refine(self, a: int, b: int, how: str, start: Sequence[float]) -> Match:
        """Move and stretch one image until it fits another best, and correlate the overlap.

        The coarse pictures draw from further away and are fast; only where they agree are the fine ones laid on each
        other, from where the coarse ones came to lie.
        """
        scale, row, column = start
        state = np.array([scale, scale, row, column])
        step = np.array([1, 1, COARSE / FINE, COARSE / FINE])
        state = _climb(flip(self.coarse[a], how), self.coarse[b], state * step) / step
        found = _measure(flip(self.coarse[a], how), self.coarse[b], state * step)
        if found.correlation < HOPE:
            return found
        first, second = flip(self.flat[a], how), self.flat[b]
        return _measure(first, second, _climb(first, second, state))

    def match(self, a: int, b: int, how: str = "none") -> Match:
        """Lay image ``a``, mirrored as ``how`` says, on ``b`` in the best way.

        Parameters
        ----------
        a, b : int
            Places in the array.
        how : str
            A name of :data:`FLIPS`.

        Returns
        -------
        Match
            Of correlation 0 if no shift and scale stand out.
        """
        best = NO_MATCH
        for start in self.guess(a, b, how):
            found = self.refine(a, b, how, start)
            if found.correlation > best.correlation:
                best = found
            if best.correlation >= SURE:
                break
        return best


def _sample(picture: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Read a picture between its pixels on a grid of rows and columns (linear; rows and columns apart)."""
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    low, high = (rows - top)[:, None].astype(np.float32), (columns - left).astype(np.float32)
    lines = picture[top] * (1 - low) + picture[top + 1] * low
    return lines[:, left] * (1 - high) + lines[:, left + 1] * high


def _centred(side: int) -> np.ndarray:
    return np.arange(side, dtype=np.float32) - (side - 1) / 2


def _inside(state: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find the rows and columns of the second image that the first covers, and where they lie in it."""
    middle, centred = (side - 1) / 2, _centred(side)
    rows, columns = state[0] * centred + state[2] + middle, state[1] * centred + state[3] + middle
    fits = [np.flatnonzero((line >= 0) & (line < side - 1)) for line in (rows, columns)]
    return fits[0], fits[1], rows[fits[0]], columns[fits[1]]


def _climb(moving: np.ndarray, target: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Bring scale and shift (row scale, column scale, row shift, column shift) to a fit (Lucas and Kanade, 1981)."""
    side = len(moving)
    slopes = np.gradient(moving)
    for _ in range(STEPS):
        step = _step(moving, slopes, target, state)
        state = state + step
        if np.abs(step[:2]).max() * side / 2 + np.abs(step[2:]).max() < CLOSE:
            break
    return state


def _step(moving: np.ndarray, slopes: list[np.ndarray], target: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Solve one linear step of scale and shift; zero where too little overlaps."""
    side, centred = len(moving), _centred(len(moving))
    in_rows, in_columns, rows, columns = _inside(state, side)
    if len(in_rows) * len(in_columns) < MIN_OVERLAP / 2 * side**2:
        return np.zeros(4)
    down, right = (_sample(slope, rows, columns) for slope in slopes)
    error = target[np.ix_(in_rows, in_columns)] - _sample(moving, rows, columns)
    y, x = centred[in_rows][:, None], centred[in_columns]
    design = np.stack([(down * y).ravel(), (right * x).ravel(), down.ravel(), right.ravel()])
    step = np.linalg.lstsq(design @ design.T, design @ error.ravel(), rcond=1e-6)[0]
    # no step moves any pixel by more than three: the slopes say nothing of what is further away
    return step * min(1.0, 3.0 / max(np.abs(step[2:]).max(), side / 2 * np.abs(step[:2]).max(), 1e-9))


def _measure(first: np.ndarray, second: np.ndarray, state: np.ndarray) -> Match:
    """Correlate the overlap of two images."""
    side = len(first)
    in_rows, in_columns, rows, columns = _inside(state, side)
    overlap = len(in_rows) * len(in_columns) / side**2
    placed = {"scale": tuple(map(float, state[:2])), "shift": tuple(map(float, state[2:] / side))}
    covered = overlap * min(1.0, float(state[0] * state[1]))  # the smaller share of the two images
    if covered < MIN_OVERLAP or min(state[:2]) <= 0:
        return Match(0.0, overlap, **placed)
    x, y = _sample(first, rows, columns).ravel(), second[np.ix_(in_rows, in_columns)].ravel()
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return Match(float(x @ y) / norm if norm else 0.0, overlap, **placed)
