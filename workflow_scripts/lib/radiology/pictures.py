"""Read one picture: 8-bit grey or colour, its lesion masks, both brought to the study's size.

A picture that is not what it should be is refused with the reason (:class:`PictureError`); the study sets it aside.
"""

import hashlib
import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from workflow_scripts.lib.study.errors import StudyError

FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
# sides below it hold no lesion to speak of; enlarged, they are blur
SMALLEST = 16
# channels of a grey picture may differ so much after JPEG's rounding
COLOURLESS = 8
# masks whose values stay below it are numbered lesions: all of them count
NUMBERED = 16
PNG_MARK = b"\x89PNG\r\n\x1a\n"
PNG_DEPTH = 24  # place of the bit depth in a PNG file
ORIENTATION = 274  # Exif tag; 1 is upright
BITS_PER_SAMPLE = 258  # TIFF tag


class PictureError(StudyError):
    """A picture that cannot be used; its message is the reason without the file's name."""


@dataclass(frozen=True)
class Picture:
    """A picture as it was given.

    Attributes
    ----------
    pixels : numpy.ndarray
        uint8 (H, W) in grey or (H, W, 3).
    coloured : float
        Share of pixels with colour.
    sha256 : str
        Hash of the pixels as given: of one channel where all are equal, so that a grey picture saved as colour has
        the hash of the grey one.
    """

    pixels: np.ndarray
    coloured: float
    sha256: str

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.pixels.shape[1]

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.pixels.shape[0]


def read_picture(path: str | os.PathLike, colour: str = "grey") -> Picture:
    """Read a picture.

    Parameters
    ----------
    path : path
        8-bit PNG, JPEG, BMP or TIFF.
    colour : {"grey", "rgb"}
        ``grey``: colour becomes luminance (ITU-R 601: .299 red, .587 green, .114 blue; equal channels stay what they
        are). ``rgb``: three channels, equal ones for a grey picture.

    Raises
    ------
    PictureError
        16 bits, transparency, several frames, damaged, tiny, of one value only, or of another format.
    """
    image = _open(Path(path))
    if min(image.size) < SMALLEST:
        raise PictureError(f"{_size(image)} pixels; expected at least {SMALLEST} on each side")
    plain = image if image.mode == "L" else image.convert("RGB")
    values = np.asarray(plain)
    coloured = 0.0
    if values.ndim == 3:
        spread = values.max(-1) - values.min(-1)
        coloured = float((spread > COLOURLESS).mean())
        if not spread.any():
            values = np.ascontiguousarray(values[..., 0])
    if values.min() == values.max():
        raise PictureError(f"all pixels have the value {values.flat[0]}; export it again")
    shape = "x".join(map(str, values.shape))
    digest = hashlib.sha256(shape.encode() + b"\0" + np.ascontiguousarray(values).tobytes()).hexdigest()
    if colour == "rgb" and values.ndim == 2:
        values = np.repeat(values[..., None], 3, -1)
    elif colour == "grey" and values.ndim == 3:
        values = np.asarray(plain.convert("L"))
    return Picture(values, coloured, digest)


def read_masks(paths: Sequence[str | os.PathLike], size: tuple[int, int]) -> np.ndarray:
    """Read the masks of one image and join them: a pixel in any lesion is 1.

    Parameters
    ----------
    paths : sequence of path
        Pictures with 0 outside. Where values stay below 16 (numbered lesions) all others are lesion; else what is
        brighter than half of the brightest, so that smoothed edges are cut in the middle.
    size : tuple of int
        Width and height of the image.

    Returns
    -------
    numpy.ndarray
        uint8 (H, W) of 0 and 1; all 0 if every mask is empty.

    Raises
    ------
    PictureError
        A mask is missing, of another size than its image, in colour, or covers the whole image.
    """
    joined = np.zeros((size[1], size[0]), np.uint8)
    for place, path in enumerate(paths, 1):
        try:
            image = _open(Path(path))
            if image.size != size:
                raise PictureError(
                    f"{_size(image)} pixels, but the image has {size[0]} x {size[1]}; give the mask of it"
                )
            values = np.asarray(image if image.mode == "L" else image.convert("RGB"))
            if values.ndim == 3 and (np.ptp(values, axis=-1) > COLOURLESS).any():
                raise PictureError("in colour; expected 0 outside the lesion and one value inside")
            values = values if values.ndim == 2 else values[..., 0]
            brightest = int(values.max())
            inside = values > (0 if brightest < NUMBERED else brightest // 2)
            if inside.all():
                raise PictureError("covers the whole image; expected 0 outside the lesion")
        except PictureError as error:
            # by number: its name may say more than an id
            which = f"mask {place} of {len(paths)}" if len(paths) > 1 else "mask"
            raise PictureError(f"{which}: {error}") from error
        joined |= inside
    return joined


def resize_picture(pixels: np.ndarray, size: int, aspect: str = "stretch") -> np.ndarray:
    """Bring a picture to a square.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 (H, W) or (H, W, 3).
    size : int
        Side of the square.
    aspect : {"stretch", "pad"}
        ``stretch``: both sides to ``size``, as published. ``pad``: the longer side to ``size``, 0 around the rest.

    Returns
    -------
    numpy.ndarray
        uint8 (C, size, size). Bilinear with a support that grows with the factor (antialiased).
    """
    image = _fit(Image.fromarray(np.ascontiguousarray(pixels)), size, aspect, Image.Resampling.BILINEAR)
    values = np.asarray(image)
    return values[None] if values.ndim == 2 else np.ascontiguousarray(values.transpose(2, 0, 1))


def resize_mask(mask: np.ndarray, size: int, aspect: str = "stretch") -> np.ndarray:
    """Bring a mask, uint8 (H, W) of 0 and 1, to a square as its picture, by the nearest pixel."""
    return np.asarray(_fit(Image.fromarray(np.ascontiguousarray(mask)), size, aspect, Image.Resampling.NEAREST))


def _fit(image: Image.Image, size: int, aspect: str, how: Image.Resampling) -> Image.Image:
    if aspect == "stretch":
        return image.resize((size, size), how)
    longest = max(image.size)
    width, height = (max(1, (side * size + longest // 2) // longest) for side in image.size)
    square = Image.new(image.mode, (size, size))
    square.paste(image.resize((width, height), how), ((size - width) // 2, (size - height) // 2))
    return square


def _open(path: Path) -> Image.Image:
    """Open and decode a file whole; modes L and RGB come out."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PictureError(f"cannot be opened ({error.strerror}); correct the path") from error
    _refuse_other_format(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            Image.open(io.BytesIO(content), formats=FORMATS).verify()  # the checksums, which decoding skips
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            _refuse_depth(image, content)
            image.load()
    except PictureError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise PictureError("has more than 89 million pixels; cut or reduce it") from error
    except Exception as error:  # a damaged file may fail anywhere in a decoder
        # of an unknown file, the text has an address of memory
        said = "its header cannot be read" if isinstance(error, UnidentifiedImageError) else error
        raise PictureError(f"truncated or damaged ({said}); copy it again") from error
    return _opaque(image)


def _refuse_other_format(content: bytes) -> None:
    if not content:
        raise PictureError("the file is empty; copy it again")
    if content[128:132] == b"DICM":
        raise PictureError("DICOM; convert it to 8-bit PNG, with one grey window for all images")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # _open refuses it
            found = Image.open(io.BytesIO(content)).format
    except Image.DecompressionBombError:
        return
    except Exception:
        found = "PNG" if content.startswith(PNG_MARK) else None
    if found not in FORMATS:
        what = f"{found} file" if found else "no picture, or damaged from its beginning"
        raise PictureError(f"{what}; expected 8-bit {', '.join(FORMATS)}. Convert it to PNG or copy it again")


def _refuse_depth(image: Image.Image, content: bytes) -> None:
    """Refuse what is not one upright frame of 8 bits; a decoder would cut 16 bits of colour without a word."""
    bits = 8
    if image.format == "PNG":
        bits = content[PNG_DEPTH]
    elif image.format == "TIFF":
        bits = max(image.tag_v2.get(BITS_PER_SAMPLE, (1,)))
    if bits > 8 or image.mode in ("F", "I") or image.mode.startswith("I;"):
        found = "floating point" if image.mode == "F" else f"{max(bits, 16)}-bit"
        raise PictureError(f"{found}; expected 8-bit. Choose one grey window for all images and convert them")
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise PictureError(f"{frames} frames; expected one picture a file. Save the frames as images of one exam")
    if image.mode not in ("1", "L", "P", "RGB", "LA", "PA", "RGBA"):
        raise PictureError(f"colours as {image.mode}; expected grey or RGB. Convert it")
    if image.getexif().get(ORIENTATION, 1) != 1:
        raise PictureError("turned by its Exif orientation; save it upright")


def _opaque(image: Image.Image) -> Image.Image:
    """Give grey or red, green and blue; refuse a picture that is transparent somewhere."""
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        clear = float((np.asarray(image)[..., 3] < 255).mean())
        if clear:
            raise PictureError(
                f"{clear:.1%} of its pixels are transparent; what lies behind them is not known. Save it without an "
                "alpha channel"
            )
    return image.convert("L") if image.mode in ("1", "L") else image.convert("RGB")


def _size(image: Image.Image) -> str:
    return f"{image.width} x {image.height}"
