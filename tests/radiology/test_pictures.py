"""Pictures of every sort: read, resized, refused with the reason; arrays that depend on content alone."""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.radiology.image_files import (
    OPTIONS,
    disc,
    edit,
    grey,
    make_table,
    save,
    table_entry,
)
from workflow_scripts.lib.radiology.dataset import read_dataset
from workflow_scripts.lib.radiology.index import index_images
from workflow_scripts.lib.radiology.pictures import (
    PictureError,
    read_masks,
    read_picture,
    resize_mask,
    resize_picture,
)
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import read_table, write_table

ROOT = Path(__file__).resolve().parents[2]
BUSI = ROOT.parent / "shared" / "reference" / "busi"


# --- what is read ---------------------------------------------------------------------------------------------------


def ways_to_save(folder, values):
    """Save the same grey values in every way that is read without loss."""
    image = Image.fromarray(values)
    palette = image.quantize(256)
    assert (np.asarray(palette.convert("RGB"))[..., 0] == values).all()
    opaque = Image.merge("LA", (image, Image.new("L", image.size, 255)))
    for name, way in (
        ("grey.png", image),
        ("palette.png", palette),
        ("rgb.png", image.convert("RGB")),
        ("opaque.png", opaque),
        ("rgba.png", image.convert("RGBA")),
        ("grey.bmp", image),
        ("grey.tif", image),
        ("rgb.tiff", image.convert("RGB")),
    ):
        way.save(folder / name)
        yield folder / name


def test_grey_palette_equal_channels_and_opaque_alpha_are_one_picture(tmp_path):
    values = grey(1)
    found = [read_picture(path) for path in ways_to_save(tmp_path, values)]
    assert len({picture.sha256 for picture in found}) == 1
    assert all((picture.pixels == values).all() and picture.pixels.ndim == 2 for picture in found)
    assert all(picture.coloured == 0 for picture in found)
    assert (found[0].width, found[0].height) == (20, 24)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_fewer_bits_are_spread_over_the_range(tmp_path, bits):
    values = grey(9, 24, 16) % 2**bits
    packed = np.packbits(np.unpackbits(values[..., None], axis=-1)[..., -bits:].reshape(24, -1), axis=-1)
    (tmp_path / "few.png").write_bytes(png(bits, 0, [row.tobytes() for row in packed], width=16))
    assert (read_picture(tmp_path / "few.png").pixels == values * (255 // (2**bits - 1))).all()


def test_the_hash_tells_shape_and_content(tmp_path):
    pixels = grey(1)
    others = [pixels, pixels.reshape(20, 24), 255 - pixels, np.dstack([pixels, pixels, 255 - pixels])]
    hashes = [read_picture(save(tmp_path / f"{key}.png", values)).sha256 for key, values in enumerate(others)]
    assert len(set(hashes)) == 4


def test_colour_becomes_luminance_and_is_counted(tmp_path):
    values = np.repeat(grey(2)[..., None], 3, -1)
    values[:6, :10] = (255, 255, 0)  # a yellow mark, 60 of 480 pixels
    picture = read_picture(save(tmp_path / "marked.png", values))
    assert picture.coloured == pytest.approx(60 / 480)
    assert picture.pixels.shape == (24, 20)
    assert (picture.pixels[6:] == values[6:, :, 0]).all()
    assert picture.pixels[0, 0] == round(0.299 * 255 + 0.587 * 255)  # ITU-R 601
    kept = read_picture(tmp_path / "marked.png", "rgb")
    assert (kept.pixels == values).all()
    assert kept.sha256 == picture.sha256
    assert read_picture(save(tmp_path / "plain.png", grey(2)), "rgb").pixels.shape == (24, 20, 3)


def test_rounding_of_jpeg_is_no_colour(tmp_path):
    values = np.repeat(np.linspace(0, 255, 32, dtype=np.uint8)[None].repeat(32, 0)[..., None], 3, -1)
    picture = read_picture(save(tmp_path / "soft.jpg", values, quality=80))
    assert picture.coloured == 0
    assert np.abs(picture.pixels.astype(int) - values[..., 0]).max() < 12


# --- what is set aside ----------------------------------------------------------------------------------------------


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(depth, colour, pixels, width=20, height=None):
    """Write a PNG by hand: pixels are the bytes of its rows, of which there may be too few."""
    head = struct.pack(">IIBBBBB", width, height or len(pixels), depth, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row for row in pixels)
    mark = b"\x89PNG\r\n\x1a\n"
    return mark + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png_bytes(values, **options):
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG", **options)
    return buffer.getvalue()


def saved(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def flip(content, place):
    return content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


def half_clear():
    values = np.dstack([grey(3)] * 3 + [np.full((24, 20), 255, np.uint8)])
    values[:12, :, 3] = 10
    return values


def deep(channels):
    return [np.random.default_rng(row).bytes(20 * 2 * channels) for row in range(24)]


WHOLE = png_bytes(grey(4))
FRAMES = [Image.fromarray(grey(key)) for key in range(3)]
TURNED = Image.Exif()
TURNED[274] = 6
FAULTS = {
    "16-bit grey": (png(16, 0, deep(1)), "16-bit; expected 8-bit. Choose one grey window for all images"),
    "16-bit colour": (png(16, 2, deep(3)), "16-bit; expected 8-bit"),
    "16-bit TIFF": (saved(Image.fromarray(grey(5).astype(np.uint16) * 99), "TIFF"), "16-bit; expected 8-bit"),
    "float TIFF": (saved(Image.fromarray(grey(5).astype(np.float32)), "TIFF"), "floating point; expected 8-bit"),
    "transparent": (png_bytes(half_clear()), "50.0% of its pixels are transparent; what lies behind them is not known"),
    "transparent colour": (png_bytes(grey(3) // 128, transparency=0), "of its pixels are transparent"),
    "truncated": (WHOLE[:300], "truncated or damaged"),
    "without its end": (WHOLE[:-12], "truncated or damaged"),
    "one byte wrong": (flip(WHOLE, 200), "truncated or damaged"),
    "header wrong": (flip(WHOLE, 17), "truncated or damaged"),
    "empty": (b"", "the file is empty; copy it again"),
    "text": (b"not found" * 40, "no picture, or damaged from its beginning; expected 8-bit PNG, JPEG, BMP, TIFF"),
    "DICOM": (bytes(128) + b"DICM" + bytes(200), "DICOM; convert it to 8-bit PNG, with one grey window for all"),
    "GIF": (saved(FRAMES[0], "GIF"), "GIF file; expected 8-bit PNG, JPEG, BMP, TIFF"),
    "animated": (saved(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), "3 frames; expected one picture"),
    "pages": (saved(FRAMES[0], "TIFF", save_all=True, append_images=FRAMES[1:]), "3 frames; expected one picture"),
    "tiny": (png_bytes(grey(6, 15, 40)), "40 x 15 pixels; expected at least 16 on each side"),
    "constant": (png_bytes(np.full((24, 20), 7, np.uint8)), "all pixels have the value 7; export it again"),
    "printing colours": (saved(Image.new("CMYK", (20, 24), 9), "JPEG"), "colours as CMYK; expected grey or RGB"),
    "huge": (png(8, 0, [], 10_000, 10_000), "has more than 89 million pixels; cut or reduce it"),
    "turned": (saved(FRAMES[0], "JPEG", exif=TURNED), "turned by its Exif orientation; save it upright"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_picture_is_set_aside_with_the_reason_and_the_others_go_on(tmp_path, fault):
    content, message = FAULTS[fault]
    path = make_table(tmp_path)
    (tmp_path / "pictures" / "2.png").write_bytes(content)
    index = index_images("mine", table_entry(path), OPTIONS)
    assert index.images["image_id"].tolist() == ["im0", "im1", "im3", "im4", "im5"]
    assert index.images["row"].tolist() == list(range(5))
    assert index.dropped[["image_id", "file"]].values.tolist() == [["im2", "pictures/2.png"]]
    assert message in index.dropped["reason"].item()
    assert index.counts.set_index("label").loc["benign", ["found", "set_aside", "images"]].tolist() == [3, 1, 2]
    assert len(index.pixels) == len(index.masks) == 5


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_no_wrong_byte_changes_pixels_unseen(tmp_path_factory, place, difference):
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    path.write_bytes(WHOLE[:place] + bytes([WHOLE[place] ^ difference]) + WHOLE[place + 1 :])
    try:
        found = read_picture(path)
    except PictureError:
        return
    assert (found.pixels == grey(4)).all()


def test_more_faults_than_config_allows_stop_the_study_with_the_list(tmp_path):
    path = make_table(tmp_path)
    for key in (2, 4):
        (tmp_path / "pictures" / f"{key}.png").write_bytes(b"")
    options = OPTIONS | {"max_excluded_fraction": 0.3}
    with pytest.raises(
        StudyError, match=r"2 of 6 images were set aside, more than radiology: max_excluded_fraction 0.3"
    ):
        index_images("mine", table_entry(path), options)
    with pytest.raises(StudyError, match=re.escape("\n  im2: the file is empty; copy it again\n  im4: ")):
        index_images("mine", table_entry(path), options)
    (tmp_path / "pictures" / "0.png").write_bytes(b"")
    with pytest.raises(StudyError, match="found images of class 1 only"):
        index_images("mine", table_entry(path), OPTIONS)


# --- masks ----------------------------------------------------------------------------------------------------------

BLANK = np.zeros((24, 20), np.uint8)
MASKS = {
    "another size": (png_bytes(disc(30, 20)), "20 x 30 pixels, but the image has 20 x 24; give the mask of it"),
    "empty": (png_bytes(BLANK), "empty; leave it out where there is no lesion"),
    "full": (png_bytes(BLANK + 255), "covers the whole image; expected 0 outside the lesion"),
    "colour": (png_bytes(np.dstack([disc(), BLANK, BLANK])), "in colour; expected 0 outside the lesion"),
    "16-bit": (png(16, 0, deep(1)), "16-bit; expected 8-bit"),
    "damaged": (png_bytes(disc())[:60], "truncated or damaged"),
}


@pytest.mark.parametrize("fault", MASKS)
def test_a_faulty_mask_sets_its_image_aside(tmp_path, fault):
    content, message = MASKS[fault]
    path = make_table(tmp_path)
    (tmp_path / "masks" / "3.png").write_bytes(content)
    index = index_images("mine", table_entry(path), OPTIONS)
    assert index.dropped["image_id"].tolist() == ["im3"]
    assert index.dropped["reason"].item().startswith(f"mask: {message}")


def test_of_several_masks_the_faulty_one_is_told_by_its_number(tmp_path):
    good, bad = save(tmp_path / "a.png", disc()), save(tmp_path / "b.png", disc(30, 20))
    with pytest.raises(PictureError, match="mask 2 of 2: 20 x 30 pixels, but the image has 20 x 24"):
        read_masks([good, bad], (20, 24))


def test_masks_are_joined_and_cut_where_their_values_say(tmp_path):
    left, right = BLANK.copy(), BLANK.copy()
    left[2:9, 2:9], right[12:20, 12:18] = 255, 1
    soft = left.copy()
    soft[1, 2:9], soft[9, 2:9] = 100, 200
    numbered = (left > 0) + 3 * right
    size = (20, 24)

    def read(*values):
        paths = [save(tmp_path / f"{key}.png", mask.astype(np.uint8)) for key, mask in enumerate(values)]
        return read_masks(paths, size)

    assert (read(left) == (left > 0)).all()
    assert (read(left, right) == (left > 0) + right).all()
    assert (read(numbered) == (left > 0) + right).all()
    assert (read(soft) == (soft > 127)).all()
    assert not read().any()
    Image.fromarray(left > 0).save(tmp_path / "bits.png")
    assert (read_masks([tmp_path / "bits.png"], size) == (left > 0)).all()


def test_a_lesion_smaller_than_a_pixel_leaves_the_image_without_a_mask(tmp_path):
    path = make_table(tmp_path)
    speck = np.zeros((240, 200), np.uint8)
    speck[7, 7] = 255
    save(tmp_path / "pictures" / "1.png", grey(1, 240, 200))
    save(tmp_path / "masks" / "1.png", speck)
    images = index_images("mine", table_entry(path), OPTIONS).images.set_index("image_id")
    assert not images.loc["im1", "has_mask"]
    assert images.loc["im3", "has_mask"]


# --- size -----------------------------------------------------------------------------------------------------------


def triangle(length, size):
    """Weights (size, length) of a triangle filter as wide as the reduction: antialiased linear interpolation."""
    scale = length / size
    support = max(scale, 1)
    centres = (np.arange(size) + 0.5) * scale
    weights = np.maximum(0, 1 - np.abs(np.arange(length) + 0.5 - centres[:, None]) / support)
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize(("height", "width", "size"), [(64, 48, 16), (30, 41, 32), (20, 17, 40)])
def test_pictures_are_resized_with_antialiasing(height, width, size):
    pixels = grey(7, height, width)
    expected = triangle(height, size) @ pixels @ triangle(width, size).T
    found = resize_picture(pixels, size)
    assert found.shape == (1, size, size)
    assert found.dtype == np.uint8
    assert np.abs(found[0] - expected).max() < 1.01  # rounded twice


def test_padding_keeps_the_aspect_and_masks_follow_their_pictures():
    pixels = np.full((40, 20), 200, np.uint8)
    padded = resize_picture(pixels, 16, "pad")[0]
    assert (padded[:, 4:12] == 200).all()
    assert not padded[:, :4].any()
    assert not padded[:, 12:].any()
    mask = np.zeros((40, 20), np.uint8)
    mask[:20] = 1
    small = resize_mask(mask, 16, "pad")
    assert small.sum() == 8 * 8
    assert small[:8, 4:12].all()
    assert resize_mask(mask, 16).sum() == 8 * 16
    assert set(np.unique(resize_mask((grey(8) > 99).astype(np.uint8), 16))) == {0, 1}
    assert resize_picture(np.dstack([pixels] * 3), 16, "pad").shape == (3, 16, 16)


@pytest.mark.parametrize("aspect", ["stretch", "pad"])
def test_a_mask_lies_where_its_lesion_does_in_the_arrays(tmp_path, aspect):
    path = make_table(tmp_path)  # a bright lesion off the middle of an oblong picture
    lesion = np.zeros((48, 40), np.uint8)
    lesion[4:16, 6:18] = 255
    save(tmp_path / "pictures" / "1.png", np.where(lesion > 0, 250, grey(1, 48, 40) // 8).astype(np.uint8))
    save(tmp_path / "masks" / "1.png", lesion)
    index = index_images("mine", table_entry(path), OPTIONS | {"size": 32, "aspect": aspect})
    assert (bright := index.pixels[1, 0] > 140).sum() > 40  # more than half lesion
    assert (bright != (index.masks[1] > 0)).sum() <= 0.15 * bright.sum()  # nearest pixels at the edge


# --- arrays and their table -----------------------------------------------------------------------------------------


def write_index(folder, entry, options=OPTIONS):
    index = index_images(folder.name, entry, options)
    folder.mkdir(exist_ok=True)
    write_table(index.images, folder / "images.tsv", "image_index")
    write_table(index.dropped, folder / "dropped.tsv", "image_dropped")
    write_table(index.counts, folder / "counts.tsv", "image_counts")
    np.save(folder / "images.npy", index.pixels)
    np.save(folder / "masks.npy", index.masks)
    return index


@pytest.mark.parametrize("colour", ["grey", "rgb"])
def test_a_dataset_is_read_as_it_was_written(tmp_path, colour):
    path = edit(make_table(tmp_path / "given", patient_id=list("aabbcc"), slice=3), 0, "slice", "n/a")
    index = write_index(tmp_path / "mine", table_entry(path), OPTIONS | {"colour": colour})
    dataset = read_dataset(tmp_path / "mine", table_entry(path))
    pd.testing.assert_frame_equal(dataset.images, index.images)
    assert isinstance(dataset.pixels, np.memmap)
    assert (dataset.pixels == index.pixels).all()
    assert (dataset.masks == index.masks).all()
    assert dataset.pixels.shape == (6, 1 if colour == "grey" else 3, 16, 16)
    assert (dataset.name, dataset.classes, dataset.positive, dataset.size) == ("mine", 2, 1, 16)
    assert dataset.y.tolist() == [0, 1] * 3
    assert [bool(mask.any()) for mask in dataset.masks] == dataset.images["has_mask"].tolist()
    for name in ("images", "dropped", "counts"):
        read_table(tmp_path / "mine" / f"{name}.tsv", {"images": "image_index"}.get(name, f"image_{name}"))


def test_arrays_of_another_run_or_another_config_are_refused(tmp_path):
    entry = table_entry(make_table(tmp_path / "given"))
    index = write_index(tmp_path / "mine", entry)
    swapped = entry | {"classes": {"benign": 1, "malignant": 0}}
    with pytest.raises(StudyError, match=r"image im0 with label 'benign' is class 0; radiology.datasets now says"):
        read_dataset(tmp_path / "mine", swapped)
    np.save(tmp_path / "mine" / "masks.npy", index.masks[:-1])
    with pytest.raises(StudyError, match=r"has 6 rows, images.npy is 6 x 1 x 16 x 16, masks.npy is 5 x 16 x 16"):
        read_dataset(tmp_path / "mine", entry)
    np.save(tmp_path / "mine" / "masks.npy", index.masks.astype(float))
    with pytest.raises(StudyError, match=r"masks.npy: found float64 with 3 axes, expected uint8 with 3"):
        read_dataset(tmp_path / "mine", entry)
    (tmp_path / "mine" / "masks.npy").write_bytes((tmp_path / "mine" / "images.npy").read_bytes()[:500])
    with pytest.raises(StudyError, match=r"masks.npy: not a whole array"):
        read_dataset(tmp_path / "mine", entry)
    (tmp_path / "mine" / "masks.npy").unlink()
    with pytest.raises(StudyError, match=r"masks.npy: no such file. Run index_images again"):
        read_dataset(tmp_path / "mine", entry)


# --- real images ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not BUSI.is_dir(), reason="the BUSI images are not beside the repository")
def test_busi_images_and_masks_are_those_of_its_manifest():
    classes = {"benign": 0, "normal": 0, "malignant": 1}
    entry = {"kind": "busi", "path": str(BUSI), "classes": classes}
    index = index_images("busi", entry, OPTIONS | {"size": 128, "max_excluded_fraction": 0.0})
    manifest = pd.read_csv(BUSI / "manifest.csv")
    manifest.index = manifest["file"].map(lambda file: Path(file).stem)
    assert len(index.images) == len(manifest) == 333
    assert index.counts["images"].tolist() == [181, 89, 63]
    assert index.counts["with_mask"].tolist() == [181, 89, 0]
    assert index.dropped.empty
    share = pd.Series(index.masks.mean((1, 2)), index=index.images["image_id"])
    # the manifest's share is of the mask as published; ours, and the reduced one read here, are nearest pixels of it
    assert (share - manifest["mask_fraction"].reindex(share.index)).abs().max() < 0.003
    assert (index.images["coloured"] == 0).all()
