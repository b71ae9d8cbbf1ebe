"""The page of the 2D arm: what it says follows from the tables, and it needs nothing else."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.figures.test_factor_boxes import make_fits
from workflow_scripts.lib.figures import radiology_text
from workflow_scripts.lib.figures.factor_boxes import join
from workflow_scripts.lib.figures.radiology_report import TABLES, write_page
from workflow_scripts.lib.figures.radiology_sections import Found
from workflow_scripts.lib.study import tables
from workflow_scripts.radiology import radiology_page

BENIGN_NORMAL = "normal counted as benign, as published; it makes the task easier"
TITLES = {"dataset": {"lesions": "Lesions <2D>"}, "weights": {"textures": "Textures"}}


def make_counts():
    columns = ["label", "y", "found", "dropped", "set_aside", "images"]
    rows = [("benign", 0, 41, 0, 1, 40), ("malignant", 1, 30, 0, 0, 30), ("normal", 0, 10, 0, 0, 10)]
    counts = pd.DataFrame(rows, columns=columns).assign(patients=12, exams=pd.NA, with_mask=[40, 30, 0], coloured=0)
    counts["note"] = [None, None, BENIGN_NORMAL]
    return counts.astype({"exams": "Int64"})


def make_groups():
    """80 images; 10 copies of images of 10 groups, one of which carries another label and is dropped with its twin."""
    names = [f"i{number:02d}" for number in range(80)]
    group = [f"i{number % 70:02d}" for number in range(80)]
    groups = pd.DataFrame({"image_id": names, "group": group})
    groups["kept"] = groups["group"] != "i03"  # 78 images in 69 groups
    pairs = pd.DataFrame({"image_a": names[:10], "image_b": names[70:]})
    pairs = pairs.assign(found_by=["hash"] * 4 + ["mirror"] * 6, flip="none", distance=0.0, correlation=1.0, copy=True)
    pairs["same_label"] = pairs["same_class"] = pairs["image_a"] != "i03"
    return groups, pairs


def make_contrasts():
    """On lesions textures are better by 0.08 for sure; by backbone signs differ; heads are not told apart."""
    rows = []
    for kind, dataset, backbone, a, b, estimate in [
        ("weights", "lesions", None, "random", "textures", -0.08),
        ("weights_by_backbone", "lesions", "small", "random", "textures", -0.2),
        ("weights_by_backbone", "lesions", "dense", "random", "textures", 0.05),
        ("head", None, None, "ConvSkip", "Linear", 0.01),
    ]:
        row = {"kind": kind, "dataset": dataset, "backbone": backbone, "a": a, "b": b, "estimate": estimate}
        for reading, se in (("settings", 0.01), ("groups", 0.02), ("both", 0.0224)):
            row |= {f"lower_{reading}": estimate - 2 * se, f"upper_{reading}": estimate + 2 * se, f"se_{reading}": se}
            row |= {f"df_{reading}": 30.0} if reading != "groups" else {}
        far = abs(estimate) >= 0.08
        row |= {"p_settings": 1e-5, "p_settings_holm": 1e-4 if abs(estimate) > 0.01 else 0.3}
        row |= {"p_both": 1e-3 if far else 0.4, "p_both_holm": 4e-3 if far else 0.8}
        rows.append(row | {"fits": 16, "groups": 60, "n_bootstrap": 200})
    return pd.DataFrame(rows)


def make_effects():
    rows = [("published_weights", "weights=textures", 0.016, 0.054), ("published_head", "head=Linear", -0.313, 1e-9)]
    table = pd.DataFrame(rows, columns=["model", "term", "estimate", "p"]).assign(se=0.01, df=150.0, t=1.6)
    return table.assign(lower=table["estimate"] - 0.02, upper=table["estimate"] + 0.02, singular=[True, False])


def make_tests():
    row = dict.fromkeys(tables.load_schema("grid_tests")["required"], 0.1)
    row |= {"dataset": "lesions", "split": "all", "a": "random", "b": "textures", "cell_a": "c", "cell_b": "d"}
    row |= {"unit": "image", "units": 78, "positives": 21, "groups": 60, "difference": -0.11, "p_delong_holm": 0.02}
    row |= {"only_a": 3, "only_b": 14, "p_mcnemar_exact": 0.0127, "n_bootstrap": 200, "z": -1.5}
    row |= {"p_mcnemar_clustered": 0.031, "p_mcnemar_holm": 0.062}
    return pd.DataFrame([row, row | {"split": "0", "p_delong_holm": np.nan, "p_mcnemar_holm": np.nan}])


def make_selection(fits):
    rows = fits.drop_duplicates("weights")[["dataset", "grouping", "weights", "cell", "backbone", "head"]]
    rows = rows.assign(choice="weights", cells=4, fits=4, missing=0, validation_auc=0.88, test_auc=0.845)
    rows = rows.assign(validation_sd=0.02, test_sd=0.05)
    return pd.concat([rows, rows.head(1).assign(choice="dataset")], ignore_index=True)


def make_grouping():
    whole = {"dataset": "lesions", "cell": "all", "cell_images": "all", "weights": None, "backbone": None, "head": None}
    whole |= {"split": pd.NA, "splits": 3, "auc_groups": 0.81, "auc_images": 0.93, "difference": 0.12, "lower": 0.05}
    whole |= {"upper": 0.19, "leaks": 0.412}
    one = whole | {"cell": "c", "cell_images": "d", "weights": "random", "backbone": "small", "head": "Linear"}
    return pd.DataFrame([whole, one, one | {"split": 0}]).astype({"split": "Int64"})


def make_explained():
    values = {"energy": 0.41, "chance": 0.11, "energy_random": 0.12, "energy_over_random": 0.29, "empty": 0.02}
    values |= {"energy_others": 0.34, "energy_over_others": 0.07}
    rows = [
        {"cell": "c", "dataset": "lesions", "explained": "predicted", "subset": "all", "quantity": name, "value": value}
        for name, value in values.items()
    ]
    table = pd.DataFrame(rows).assign(images=70, groups=60, fits=3)
    return table.assign(lower=table["value"] - 0.05, upper=table["value"] + 0.05)


def make_randomisation():
    table = pd.DataFrame(
        {"number": [1, 2, 3], "stage": ["head", "layer4", "conv1"], "rank_correlation": [0.7, 0.3, 0.1]}
    )
    table = table.assign(cell="c", dataset="lesions", split=0, seed=0, images=30, empty=0.0, similarity=0.2)
    return table.assign(energy=0.2)


def make_tables():
    """Return a table of each kind, with the name of its dataset or grid."""
    groups, pairs = make_groups()
    fits = make_fits({"weights": ["random", "textures"], "head": ["ConvSkip"]}).drop(columns="grid")
    dropped = pd.DataFrame({"image_id": ["x"], "file": ["x.png"], "reason": ["mask m.png: empty"]})
    made = {"counts": make_counts(), "dropped": dropped, "groups": groups, "pairs": pairs}
    conflicts = pd.DataFrame({"picture": ["i03", "i03", "i05", "i05"], "image_id": ["i03", "i73", "i05", "i75"]})
    conflicts = conflicts.assign(label="benign", y=0, kept=[False, False, True, True])
    made |= {"conflicts": conflicts, "fits": fits, "selection": make_selection(fits)}
    made |= {"effects": make_effects(), "contrasts": make_contrasts(), "tests": make_tests()}
    made |= {"grouping": make_grouping(), "explained": make_explained(), "randomisation": make_randomisation()}
    return {
        name: join({"tiny" if TABLES[name][1] == "grid" else "lesions": table}, TABLES[name][1])
        for name, table in made.items()
    }


@pytest.fixture(scope="module")
def given():
    return make_tables()


def write(given, tmp_path, **changes):
    path = tmp_path / "report.html"
    write_page(Found(given, TITLES, {"lesions": "../pairs.html"}, **changes), path)
    return path.read_text(encoding="utf-8")


def plain(page):
    """Return the words of a page without its tags, spaces as one."""
    body = page.split("<main>")[1].replace("\u202f", "")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", body))


def test_every_section_says_what_the_tables_hold(given, tmp_path):
    words = plain(write(given, tmp_path))
    for said in [
        f"Lesions &lt;2D&gt;: {BENIGN_NORMAL}.",
        "78 of 80 images in use, in 69 groups; 9 with several images, the largest with 2.",
        "78images in use",
        "69groups of images",
        "Lesions &lt;2D&gt;copies under conflicting labels2",
        "Pairs: 4 by perceptual hash, 6 by hash of the mirror image.",
        "4 images with copies under another label, of which 2 were dropped since the classes differ too.",
        "41% of the test images have an image of their group in training; the test AUC is then 0.930 instead of 0.810, "
        "a difference of +0.120 [+0.050, +0.190]. The score without groups is inflated.",
        "the ConvSkip head has 33500000 parameters for 585 training images (57264 an image)",
        "Textures less random: +0.016 [−0.004, +0.036], p 0.054, not told from 0 as published.",
        "Linear less ConvSkip: −0.313 [−0.333, −0.293], p 10−9, different from 0 as published.",
        "The published model of weights is singular",
        "Textures less random is +0.080 [+0.035, +0.125], Holm's p 0.004: better with other settings and other",
        "ConvSkip less Linear is +0.010 [−0.035, +0.055], Holm's p 0.800: not told apart",
        "Of 4 planned contrasts, 3 differ from 0 if the test images are taken as given, and 2 if they are not",
        "random less Textures goes from −0.200 [−0.245, −0.155] on Lesions &lt;2D&gt; with small to +0.050 [+0.005, "
        "+0.095] on Lesions &lt;2D&gt; with",
        "Textures is better than random by AUC (difference +0.110, p 0.020; 78 images in 60 groups). Of 17 decisions "
        "that one of them alone gets right, random has 3 (McNemar's p by groups 0.031, by Holm's rule 0.062).",
        "41% of the maps lies inside the lesion, which covers 11% of the image. Untrained networks have 12% "
        "(difference 0.290 [0.240, 0.340], 60 groups). In other images' lesions lies 34% (difference 0.070 [0.020, "
        "0.120], 60 groups). Training made the networks look at the lesion.",
        "0.70 with fresh weights in the head alone and 0.10 with fresh weights in all stages.",
    ]:
        assert said in words, said
    assert "Not part of this run" not in words


def test_the_page_needs_nothing_else_and_links_to_the_pairs(given, tmp_path):
    page = write(given, tmp_path)
    assert 'href="../pairs.html"' in page
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)
    assert "<2D>" not in page
    assert len(re.findall(r"<section", page)) == len(radiology_text.TITLES)


@pytest.mark.parametrize("name", ["counts", "groups", "grouping", "selection", "tests", "explained"])
def test_a_table_that_is_absent_becomes_a_sentence(given, tmp_path, name):
    words = plain(write({key: table for key, table in given.items() if key != name}, tmp_path))
    assert words.count("Not part of this run") == 1


def test_nothing_at_all_is_a_page_too(tmp_path):
    assert plain(write({}, tmp_path)).count("Not part of this run") == len(radiology_text.TITLES)


@pytest.mark.parametrize(
    ("lower", "upper", "said"),
    [
        (0.01, 0.2, "is inflated"),
        (-0.1, 0.2, "do not tell it from 0"),
        (-0.2, -0.1, "which no leak explains"),
        (np.nan, np.nan, "too few splits"),
    ],
)
def test_the_verdict_on_leaks_follows_the_interval(lower, upper, said):
    row = make_grouping().iloc[0].copy()
    row["lower"], row["upper"] = lower, upper
    assert said in radiology_text.leak(row, "d")


@pytest.mark.parametrize(
    ("random", "others", "said"),
    [
        ((0.1, 0.3), (0.01, 0.1), "Training made the networks look at the lesion."),
        ((0.1, 0.3), (-0.01, 0.1), "no more than in other images' lesions: position, not the lesion."),
        ((0.1, 0.3), (np.nan, np.nan), "more energy in lesions than those of untrained networks."),
        ((-0.1, 0.1), (0.01, 0.1), "Training is not seen in where they look."),
        ((-0.3, -0.1), (0.01, 0.1), "less energy in lesions than those of untrained networks."),
        ((np.nan, np.nan), (0.01, 0.1), "too few groups or untrained networks"),
    ],
)
def test_the_verdict_on_maps_follows_both_intervals(random, others, said):
    rows = make_explained().set_index("quantity")
    rows.loc["energy_over_random", ["lower", "upper"]] = random
    rows.loc["energy_over_others", ["lower", "upper"]] = others
    verdict = radiology_text.looked(rows, "c")
    assert said in verdict
    assert ("Training made" in verdict) == (random[0] > 0 and others[0] > 0)
    rows.loc["energy", "value"] = np.nan
    assert "no image has a lesion outlined" in radiology_text.looked(rows, "c")


def test_signs_that_noise_could_give_are_not_said_to_be_opposite():
    contrasts = make_contrasts()
    assert len(radiology_text.opposite(contrasts, lambda kind, key: key)) == 1
    contrasts.loc[2, "lower_both"] = -0.001
    assert radiology_text.opposite(contrasts, lambda kind, key: key) == []


def test_units_of_their_own_have_mcnemar_s_exact_p_and_undecided_ones_none():
    row = make_tests().iloc[1].copy()
    row["groups"] = row["units"]
    assert "McNemar's exact p 0.013, not adjusted" in radiology_text.tested(row, "d", lambda kind, key: key)
    row[["only_a", "only_b"]] = np.nan
    assert radiology_text.tested(row, "d", lambda kind, key: key).endswith("groups).")


def test_images_are_in_use_without_conflicts_and_counted_by_label(given, tmp_path):
    whole = write({name: table for name, table in given.items() if name != "conflicts"}, tmp_path)
    assert "80images in use" in plain(whole) and "copies under conflicting labels" not in plain(whole)
    cells = re.findall(r"<tr>(.*?)</tr>", write(given, tmp_path), re.S)
    benign = next(re.sub(r"<[^>]+>", " ", row).split() for row in cells if "benign" in row)
    assert benign[-7:-3] == ["0", "1", "2", "38"]  # dropped, set aside, conflicting, in use


def test_models_of_a_grid_that_splits_by_image_alone_are_shown(given, tmp_path):
    """Each dataset of each grid stands for itself, as in the statistics."""
    other = {name: given[name].assign(grid="other", grouping="images") for name in ("fits", "selection")}
    both = given | {name: pd.concat([given[name], table], ignore_index=True) for name, table in other.items()}
    models = write(both, tmp_path).split('<section id="models">')[1].split("</section>")[0]
    assert models.count(">other<") == models.count(">tiny<") == 2


def test_the_level_of_each_auc_is_said():
    assert "each slice of an exam counts as one" in radiology_text.MEANS["models"]
    assert "each slice of an exam counts as one" in radiology_text.MEANS["effects"]
    assert "those of exams where there are any" in radiology_text.MEANS["tests"]


def test_a_head_within_its_data_is_not_warned_of():
    row = pd.Series({"head": "Linear", "parameters": 585_000, "images_train": 585})
    assert radiology_text.outweighed(row, "d") == ""
    row["parameters"] += 1
    assert "585\u202f001 parameters" in radiology_text.outweighed(row, "d")


def test_long_tables_open_on_demand(given, tmp_path):
    many = pd.concat([given["contrasts"].assign(dataset=f"d{number}") for number in range(30)], ignore_index=True)
    assert ": 120 rows</summary>" in write(given | {"contrasts": many}, tmp_path)


def test_pictures_stand_in_their_sections(given, tmp_path):
    picture = tmp_path / "roc_curves.png"
    picture.write_bytes(b"png")
    page = write(given, tmp_path, pictures=[picture])
    section = page.split('<section id="tests">')[1].split("</section>")[0]
    assert "data:image/png;base64,cG5n" in section


def test_the_script_reads_tables_that_fit_their_schemas(given, tmp_path):
    files = {}
    for name, table in given.items():
        schema, kind = TABLES[name]
        own = table if schema == "grid_fits" else table.drop(columns=kind)
        tables.write_table(own, tmp_path / f"{name}.tsv", schema)
        files[name] = [str(tmp_path / f"{name}.tsv")]
    params = SimpleNamespace(
        names={"dataset": ["lesions"], "grid": ["tiny"]},
        explained=["tiny"],
        titles=TITLES,
        links={"lesions": "../p.html"},
    )
    output = SimpleNamespace(page=str(tmp_path / "report.html"))
    radiology_page.main(SimpleNamespace(input=SimpleNamespace(**files), params=params, output=output))
    from_files = plain((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert from_files == plain(write(given, tmp_path))
