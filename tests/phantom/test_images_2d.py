"""The 2D phantom plants what its truth tables say, and nothing else tells the classes apart."""

import copy
import types

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score

from workflow_scripts.lib.phantom import copies, images, speckle
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import read_table
from workflow_scripts.phantom import simulate_images

SETTINGS = {
    "size": 48,
    "lesions": {
        "images": 90,
        "patients": 60,
        "images_a_patient": 3,
        "normal": 0.15,
        "cue": 2.0,
        "cue_sd": 0.3,
        "grain": 0.8,
        "label_noise": 0.3,
        "copies": {"exact": 5, "resized": 5, "gain": 5, "calipers": 5, "mirrored": 5, "cropped": 5},
        "conflicts": 6,
    },
    "slices": {"exams": 60, "slices_an_exam": 4, "cue": 0.6, "cue_sd": 0.15, "label_noise": 0.2},
    "textures": {"images": 120, "classes": 6},
    "shapes": {"images": 16, "classes": 8},
}
# nothing but lesions, of many patients with one image each
MANY = SETTINGS | {
    "lesions": SETTINGS["lesions"]
    | {"images": 400, "patients": 400, "images_a_patient": 1, "normal": 0.0, "copies": {}, "conflicts": 0}
}
SEED = 5


def changed(**lesions: object) -> dict:
    settings = copy.deepcopy(SETTINGS)
    settings["lesions"] |= lesions
    return settings


@pytest.fixture(scope="module")
def made():
    return {name: images.simulate(name, SETTINGS, SEED) for name in images.SETS}


@pytest.fixture(scope="module")
def many():
    return images.simulate("lesions", MANY, SEED)


def pixels(made: images.ImageSet) -> dict[str, np.ndarray]:
    return {image: made.pictures[path] for image, path in zip(made.images.image_id, made.images.path, strict=True)}


def masks(made: images.ImageSet) -> dict[str, np.ndarray]:
    listed = made.images.dropna(subset="mask")
    return {image: made.pictures[path] > 0 for image, path in zip(listed.image_id, listed["mask"], strict=True)}


def grain(picture: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Log ratio of the squared differences along columns and rows inside a mask, and the log of their product."""
    picture = picture.astype(float)
    inside = mask[:-1, :-1] & mask[1:, :-1] & mask[:-1, 1:]
    right = np.diff(picture, axis=1)[:-1][inside]
    down = np.diff(picture, axis=0)[:, :-1][inside]
    right, down = np.log(np.mean(right**2)), np.log(np.mean(down**2))
    return right - down, right + down


# speckle


def test_amplitudes_are_rayleigh_whatever_the_grain():
    for height, width in ((0.8, 0.8), (0.6, 3.0)):
        field = speckle.complex_speckle((400, 400), height, width, np.random.default_rng(1), looks=1)[0]
        # far enough apart to be independent
        apart = np.abs(field)[:: round(6 * height), :: round(6 * width)].ravel()
        assert stats.kstest(apart, stats.rayleigh(scale=np.sqrt(0.5)).cdf).pvalue > 0.01


def test_grain_has_the_asked_size():
    height, width = speckle.cell(1.5, 1.2)
    assert np.log(width / height) == pytest.approx(1.2)
    assert height * width == pytest.approx(1.5**2)
    field = speckle.complex_speckle((512, 512), height, width, np.random.default_rng(2))
    for axis, sigma in ((1, height), (2, width)):
        for lag in (1, 2, 3):
            correlation = np.mean(field * np.roll(field, lag, axis).conj()).real
            # white noise through a Gaussian of sigma has the autocorrelation of a Gaussian of sqrt(2) sigma
            assert correlation == pytest.approx(np.exp(-(lag**2) / (4 * sigma**2)), abs=0.03)


def test_mixing_keeps_power_and_compression_is_decibels():
    random = np.random.default_rng(3)
    first, second = (speckle.complex_speckle((256, 256), 1, 1, random) for _ in range(2))
    for weight in (0.0, 0.5, 1.0):
        mixed = speckle.mix(first, second, np.full((256, 256), weight))
        assert np.mean(np.abs(mixed) ** 2) == pytest.approx(1, abs=0.03)
    even = np.full((2, 1, 1), 0.1 + 0j)  # a power of -20 dB
    assert speckle.compress(even, -10.0, 60.0) == round(255 * 30 / 60)
    assert speckle.compress(even, 40.0, 60.0) == 255
    assert speckle.compress(even, -50.0, 60.0) == 0


# the lesions' cue


def test_grain_inside_the_mask_tells_the_class_and_nothing_else_does(many):
    truth = many.truth.set_index("image_id")
    shown, inside = pixels(many), masks(many)
    malignant = (truth["true_label"] == "malignant").to_numpy()
    rows = []
    for image in truth.index:
        picture, mask = shown[image].astype(float), inside[image]
        rows.append(
            {
                "grain": -grain(picture, mask)[0],
                "mean": picture[mask].mean(),
                "sd": picture[mask].std(),
                "outside": picture[~mask].mean(),
                "contrast": picture[mask].mean() - picture[~mask].mean(),
                "rows": len(picture),
                "columns": picture.shape[1],
            }
        )
    table = pd.DataFrame(rows, index=truth.index).join(truth[["centre_x", "centre_y", "radius"]])
    auc = {name: roc_auc_score(malignant, values) for name, values in table.items()}
    # malignant grain is drawn out along depth, so that it changes faster along the probe
    assert auc.pop("grain") < 0.01
    # four standard errors of an AUC of 0.5 with 200 and 200 images
    limit = 4 * np.sqrt(401 / (12 * 200 * 200))
    assert {name: value for name, value in auc.items() if abs(value - 0.5) > limit} == {}


def test_the_measured_grain_follows_the_planted_cue(many):
    shown, inside = pixels(many), masks(many)
    found = [grain(shown[image], inside[image])[0] for image in many.truth["image_id"]]
    assert stats.spearmanr(found, many.truth["cue"]).statistic < -0.85
    spread = many.truth.groupby("true_label")["cue"].agg(["mean", "std"])
    assert spread.loc["benign", "mean"] == pytest.approx(1.0, abs=4 * 0.3 / np.sqrt(200))
    assert spread.loc["malignant", "mean"] == pytest.approx(-1.0, abs=4 * 0.3 / np.sqrt(200))
    assert spread["std"].to_numpy() == pytest.approx([0.3, 0.3], abs=0.06)


def test_label_noise_sets_the_ceiling_of_the_auc(many):
    truth = many.truth
    assert truth["noisy_label"].mean() == pytest.approx(0.3, abs=0.01)
    wrong = truth["label"] != truth["true_label"]
    assert not wrong[~truth["noisy_label"]].any()
    assert wrong.sum() == truth["noisy_label"].sum() / 2
    # an oracle who knows the content: (1 - e)^2 + e (1 - e) for a share e of wrong labels
    assert roc_auc_score(truth["label"] == "malignant", truth["true_label"] == "malignant") == pytest.approx(0.85)


def test_masks_cover_the_echo_poor_lesion(made):
    truth = made["lesions"].truth.set_index("image_id")
    shown, inside = pixels(made["lesions"]), masks(made["lesions"])
    assert set(inside) == set(truth.index[truth["true_label"] != "normal"])
    assert truth.loc[list(inside), ["centre_x", "centre_y", "radius", "cue"]].notna().all(axis=None)
    assert truth.loc[truth["true_label"] == "normal", ["centre_x", "radius", "cue"]].isna().all(axis=None)
    for image, mask in inside.items():
        picture = shown[image]
        assert mask.shape == picture.shape
        assert 0.04 < mask.mean() < 0.35
        middle = int(truth.centre_y[image] * len(mask)), int(truth.centre_x[image] * mask.shape[1])
        assert mask[middle]
        assert np.pi * (truth.radius[image] * mask.shape[1]) ** 2 == pytest.approx(mask.sum())
    # beside the lesion, at its depth, tissue is brighter in all but a few images
    brighter = [
        shown[i][:, : m.shape[1]][m.any(axis=1)][~m[m.any(axis=1)]].mean() - shown[i][m].mean()
        for i, m in inside.items()
    ]
    assert np.mean(np.array(brighter) > 0) > 0.95


# copies


def test_copies_are_what_the_truth_says(made):
    truth, shown, inside = made["lesions"].truth, pixels(made["lesions"]), masks(made["lesions"])
    planted = truth[truth["original"].notna()]
    assert planted["change"].value_counts().to_dict() == SETTINGS["lesions"]["copies"]
    assert planted["original"].is_unique
    assert not planted["original"].isin(planted["image_id"]).any()
    for row in planted.itertuples():
        first, second = shown[row.original], shown[row.image_id]
        mask, copied = inside[row.original], inside[row.image_id]
        if row.change == "exact":
            assert np.array_equal(first, second)
            assert np.array_equal(mask, copied)
        elif row.change == "mirrored":
            assert np.array_equal(first[:, ::-1], second)
            assert np.array_equal(mask[:, ::-1], copied)
        elif row.change == "cropped":
            assert_crop(first, second, mask, copied)
        elif row.change == "resized":
            assert second.shape[0] / first.shape[0] == pytest.approx(0.75, abs=0.02) or second.shape[0] > first.shape[0]
            again = copies.resize(second, *first.shape)
            assert np.corrcoef(again.ravel(), first.ravel())[0, 1] > 0.9
            assert copied.mean() == pytest.approx(mask.mean(), abs=0.01)
        elif row.change == "gain":
            between = (first > 0) & (second > 0) & (second < 255)
            slope, offset, r, *_ = stats.linregress(first[between], second[between])
            assert r > 0.999
            assert 0.79 < slope < 1.21
            assert 7 < abs(offset) < 21
        else:
            other = first != second
            rows, columns = mask.nonzero()
            near = np.zeros_like(mask)
            near[max(rows.min() - 3, 0) : rows.max() + 4, max(columns.min() - 3, 0) : columns.max() + 4] = True
            assert other.sum() > 20
            assert not other[~near].any()
            assert (second[other] == copies.WHITE).all()


def assert_crop(first: np.ndarray, second: np.ndarray, mask: np.ndarray, copied: np.ndarray) -> None:
    lost = np.array(first.shape) - second.shape
    assert (lost >= np.floor(0.05 * np.array(first.shape))).all()
    assert (lost <= np.ceil(0.10 * np.array(first.shape))).all()
    height, width = second.shape
    places = [
        (slice(row, row + height), slice(column, column + width))
        for row in range(lost[0] + 1)
        for column in range(lost[1] + 1)
    ]
    found = [place for place in places if np.array_equal(first[place], second)]
    assert len(found) == 1
    assert np.array_equal(mask[found[0]], copied)


def test_copies_keep_their_original_s_label_but_for_the_conflicts(made):
    truth = made["lesions"].truth.set_index("image_id")
    planted = truth[truth["original"].notna()]
    first = truth.loc[planted["original"]]
    same = planted["label"].to_numpy() == first["label"].to_numpy()
    assert (same == ~planted["conflict"]).all()
    assert planted["conflict"].sum() == 6
    for column in ("true_label", "noisy_label", "cue"):
        assert (planted[column].to_numpy() == first[column].to_numpy()).all()
    # whoever copied it did not say so: each copy is a patient of its own
    assert planted["patient_id"].is_unique
    assert not planted["patient_id"].isin(truth.loc[truth["original"].isna(), "patient_id"]).any()


def test_neither_order_nor_ids_tell_copies_or_classes(made):
    truth = made["lesions"].truth
    place, patient = np.arange(len(truth)), truth["patient_id"].str[-4:].astype(int)
    for wanted in (truth["original"].notna(), truth["true_label"] == "malignant", truth["true_label"] == "normal"):
        limit = 3.5 * np.sqrt((len(truth) + 1) / (12 * wanted.sum() * (~wanted).sum()))
        assert abs(roc_auc_score(wanted, place) - 0.5) < limit
        assert abs(roc_auc_score(wanted, patient) - 0.5) < limit


# slices


def test_slices_of_an_exam_share_label_anatomy_and_names(made):
    table, truth = made["slices"].images, made["slices"].truth
    assert (table["image_id"] == [f"{e}_sagittal_{s}" for e, s in zip(table.exam_id, table.slice, strict=True)]).all()
    exams = table.groupby("exam_id")
    assert exams["label"].nunique().eq(1).all()
    assert exams["patient_id"].nunique().eq(1).all()
    assert set(exams.size()) == {1, 2, 3, 4}
    assert set(table["label"]) == {"no", "yes"}
    clean = truth[~truth["noisy_label"]]
    assert (clean["label"] == clean["true_label"]).all()
    assert (truth["cue"].gt(0) == truth["true_label"].eq("yes")).all()
    shown = np.stack([picture.ravel() for picture in pixels(made["slices"]).values()])
    correlation = np.corrcoef(shown)
    np.fill_diagonal(correlation, -1)
    nearest = table["exam_id"].to_numpy()[correlation.argmax(axis=1)]
    with_siblings = exams["image_id"].transform("size") > 1
    assert np.mean(nearest[with_siblings] == table.loc[with_siblings, "exam_id"]) > 0.8


def test_a_gap_in_the_ligament_tells_torn_from_whole(made):
    truth, shown = made["slices"].truth, pixels(made["slices"])
    rows, columns = np.mgrid[0:72, 0:72] / 72
    dark = []
    for row in truth.itertuples():
        near = np.hypot(rows - row.centre_y, columns - row.centre_x) < 0.6 * row.radius
        picture = shown[row.image_id].astype(float)
        dark.append(np.mean(picture[near] < 0.55 * np.median(picture[near])))
    assert roc_auc_score(truth["true_label"] == "yes", dark) < 0.12
    # the whole picture's brightness does not tell
    exams = made["slices"].images.assign(mean=[p.mean() for p in shown.values()], true=truth["true_label"])
    exams = exams.groupby("exam_id").agg({"mean": "mean", "true": "first"})
    assert abs(roc_auc_score(exams["true"] == "yes", exams["mean"]) - 0.5) < 4 * np.sqrt(61 / (12 * 30 * 30))


# sources


def test_textures_differ_by_grain_alone(made):
    labels = made["textures"].images["label"]
    assert labels.value_counts().to_dict() == {f"grain{index}": 20 for index in range(6)}
    shown = list(pixels(made["textures"]).values())
    everywhere = np.ones((72, 72), bool)
    seen = np.array([grain(picture, everywhere) for picture in shown])
    seen = (seen - seen.mean(axis=0)) / seen.std(axis=0)
    model = LinearDiscriminantAnalysis()
    assert cross_val_score(model, seen, labels, cv=5).mean() > 0.6
    bright = np.array([[picture.mean(), picture.std()] for picture in shown]) / 20
    # chance is 1/6
    assert cross_val_score(model, bright, labels, cv=5).mean() < 0.4


def test_no_patient_is_in_two_sets(made):
    ids = [set(one.images["patient_id"]) for one in made.values()]
    assert len(set.union(*ids)) == sum(map(len, ids))
    sizes = made["lesions"].truth.query("original.isna()").groupby("patient_id").size()
    assert len(sizes) == 60
    assert sizes.max() <= 3
    assert sizes.sum() == 90


# files


def test_a_set_is_written_as_its_user_would_have_it(tmp_path):
    settings = changed(images=10, patients=8, copies={"cropped": 1, "resized": 2}, conflicts=1)
    named = {"images": tmp_path / "lesions/images.tsv", "truth": tmp_path / "truth/images_lesions.tsv"}
    snakemake = types.SimpleNamespace(
        wildcards=types.SimpleNamespace(images="lesions"),
        params=types.SimpleNamespace(images=settings, seed=SEED),
        output=types.SimpleNamespace(**named),
    )
    simulate_images.main(snakemake)
    table = read_table(named["images"], "image_list")
    truth = read_table(named["truth"], "planted_images")
    assert (table["image_id"] == truth["image_id"]).all()
    assert len(table) == 13
    made = images.simulate("lesions", settings, SEED)
    files = sorted(
        file.relative_to(tmp_path / "lesions").as_posix() for file in (tmp_path / "lesions/pictures").iterdir()
    )
    assert files == sorted(made.pictures)
    for path, picture in made.pictures.items():
        with Image.open(tmp_path / "lesions" / path) as stored:
            assert (stored.format, stored.mode) == ("PNG", "L")
            assert np.array_equal(np.asarray(stored), picture)
        assert set(np.unique(picture)) == {0, 255} if path.endswith("_mask.png") else picture.max() > 100


def test_the_same_seed_gives_the_same_pictures_and_another_does_not():
    settings = changed(images=6, patients=5, copies={"cropped": 1, "gain": 1}, conflicts=1)
    settings |= {"slices": SETTINGS["slices"] | {"exams": 4}}
    settings |= {name: SETTINGS[name] | {"images": 8} for name in ("textures", "shapes")}
    for name in images.SETS:
        first, again, other = (images.simulate(name, settings, seed) for seed in (1, 1, 2))
        pd.testing.assert_frame_equal(first.images, again.images)
        pd.testing.assert_frame_equal(first.truth, again.truth)
        assert all(np.array_equal(first.pictures[path], again.pictures[path]) for path in first.pictures)
        shared = first.pictures.keys() & other.pictures.keys()
        assert not any(np.array_equal(first.pictures[path], other.pictures[path]) for path in shared)


def test_more_images_leave_the_others_as_they_were():
    few, more = ({"size": 48, "shapes": {"images": count, "classes": 8}} for count in (8, 16))
    few, more = (images.simulate("shapes", settings, SEED).pictures for settings in (few, more))
    assert all(np.array_equal(picture, more[path]) for path, picture in few.items())


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("lesion", SETTINGS, "lesions, slices, textures, shapes"),
        ("lesions", changed(copies={"exact": 91}), "91 copies"),
        ("lesions", changed(conflicts=31), "31 under another label"),
        ("lesions", changed(patients=29), "90 images of 29 patients"),
        ("lesions", changed(patients=91), "90 images of 91 patients"),
        ("shapes", SETTINGS | {"shapes": {"images": 4, "classes": 9}}, "at most 8"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(name, settings, message):
    with pytest.raises(StudyError, match=message):
        images.simulate(name, settings, SEED)
