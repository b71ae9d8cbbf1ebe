"""Words of the page of the 2D arm: every sentence is made of the numbers of the tables. Strings are HTML."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.lib.figures.genetics_parts import count, interval, number, p_value

LIMIT = 0.05
PARAMETERS_PER_IMAGE = 1000  # of a head, above which it can learn any labels by heart

TITLES = {
    "glance": "At a glance",
    "datasets": "Datasets",
    "groups": "Duplicates and groups",
    "leak": "What ignoring groups adds",
    "models": "Selected models",
    "effects": "Effects of weights and heads",
    "tests": "Tests between the selected models",
    "explanations": "Where the networks look",
}
ABSENT = {
    "datasets": "no dataset was read",
    "groups": "no groups were formed",
    "leak": (
        "no grid has cells that differ in <code>grouping</code> alone; give a grid the factor "
        "<code>grouping: [groups, images]</code>"
    ),
    "models": "no grid was fitted",
    "effects": "no grid has two weights or two heads with a score",
    "tests": "no dataset has selected models of two weights",
    "explanations": "no grid keeps its weights (<code>keep_weights</code>), so that there is no network to explain",
}
MEANS = {
    "datasets": (
        "A row is a label as given and the class that the config makes of it. <b>Set aside</b> are images that cannot "
        "be used, for the reasons below; <b>dropped</b> are labels that the config leaves out; <b>conflicting</b> are "
        "copies of one picture under labels of different classes, which no split has. Patients, exams and masks are "
        "counted before these are left out."
    ),
    "groups": (
        "Images that show the same thing may not stand on both sides of a split: copies, mirror images and crops of "
        "each other, near neighbours that were confirmed, and images of one exam or patient. What is joined is one "
        "group, however long the chain. Groups whose copies carry conflicting labels lose these images."
    ),
    "leak": (
        "The same settings, fitted to splits that keep groups whole and to splits drawn image by image. Bounds come "
        "from the splits of these images; they do not speak of other images."
    ),
    "models": (
        "The cell with the best mean validation AUC of each dataset and weights. The validation AUC is too good by "
        "having been chosen; the test AUC had no part in the choice. ± is the standard deviation over splits and "
        "seeds, which is no standard error: splits overlap. Choice and AUCs are at the level of images: each slice of "
        "an exam counts as one."
    ),
    "effects": (
        "<b>Published</b>: the mixed model of the study that is re-done here, all datasets and backbones averaged. Its "
        "uncertainty is that of settings: test images are few and the same for all fits, and the model does not know. "
        "<b>Recommended</b>: weights within each dataset and backbone, with splits and seeds as what they are. Three "
        "intervals stand beside each other: other settings, splits and seeds with these test images; other patients "
        "with these fits; and both. Quote the last. AUCs are those of images: each slice of an exam counts as one, "
        "though a draw of patients takes all of theirs."
    ),
    "tests": (
        "Of each weights the selected cell, scores averaged over seeds. DeLong's test keeps the images of a group "
        "together; <b>as published</b> takes all as independent. McNemar's test compares decisions at thresholds that "
        "the validation set fixed; its p is by groups where a group has several test exams or images, else exact. All "
        "are about other patients with these fits, not about training anew. The slices of an exam share one score, so "
        "that AUCs here are those of exams where there are any; models were selected by the AUCs of images."
    ),
    "explanations": (
        "Grad-CAM maps of test images. <b>Energy</b> is the share of a map that lies inside the outlined lesion. It is "
        "to be held against three numbers: the share of the image that the lesion covers (<b>chance</b>), the energy "
        "in the lesions of other images (<b>others</b>, the habit of looking at the middle), and the energy of a few "
        "networks of the same build with fresh weights (<b>random</b>). Only maps above both know the lesion by "
        "training; above the last alone, they know where lesions tend to lie."
    ),
}
# start of a picture's name -> section and what it shows
FIGURES = [
    ("duplicate_pairs", "groups", "Pairs of images that were found to show the same thing"),
    ("grouping_inflation", "leak", "Test AUC with groups kept whole and with groups ignored"),
    ("factor_boxes", "models", "Validation scores of all fits by each factor"),
    ("unfreezing_points", "models", "AUC against how much of the backbone learns"),
    ("grid_curves", "models", "Learning curves of the selected models; the kept epoch is marked"),
    ("roc_curves", "tests", "ROC curves of the selected models with bands, and intervals of their AUCs"),
    ("image_calibration", "tests", "Share of positives against the predicted probability"),
    ("grid_effects", "effects", "Contrasts of weights and heads with their intervals"),
    ("gradcam_measures", "explanations", "Energy of the maps inside lesions against untrained networks"),
    ("gradcam_panels", "explanations", "Right and wrong cases with their maps"),
    ("volume_gradcam", "explanations", "Maps of the networks for volumes"),
]
LARGE_HEAD = (
    "Such a head can learn any labels by heart; compare it with MLP, which is as large, and with Linear, before what "
    "it gains is put down to its design."
)
CONFLICTING = "copies under conflicting labels"
FOUND_BY = {
    "hash": "perceptual hash",
    "mirror": "hash of the mirror image",
    "crop": "hash of crops",
    "neighbour": "neighbours in a network's features",
    "exam": "the same exam",
    "patient": "the same patient",
}

Namer = Callable[[str, object], str]
three, percent = number(3), lambda value: "–" if pd.isna(value) else f"{100 * value:.0f}%"


def some(number_of: object, one: str) -> str:
    """Write a count and what is counted, in the plural where it is not one."""
    return f"{count(number_of)} {one}" + ("" if number_of == 1 else "s")


def signed(value: object, digits: int = 3) -> str:
    """Write a difference with its sign."""
    return "–" if pd.isna(value) else f"{value:+.{digits}f}".replace("-", "−")


def bounds(lower: object, upper: object) -> str:
    """Write an interval, or nothing where there is none."""
    return "" if pd.isna(lower) or pd.isna(upper) else f" [{signed(lower)}, {signed(upper)}]"


def outweighed(row: pd.Series, where: str) -> str:
    """Warn of a head that has too many parameters for its images, ``where`` it stands; empty if it has not."""
    if pd.isna(row["parameters"]) or row["parameters"] <= PARAMETERS_PER_IMAGE * row["images_train"]:
        return ""
    each = row["parameters"] / row["images_train"]
    return (
        f"<b>{where}</b>: the {row['head']} head has {count(row['parameters'])} parameters for "
        f"{count(row['images_train'])} training images ({count(each)} an image)."
    )


def grouped(dataset: str, groups: pd.DataFrame, pairs: pd.DataFrame | None, conflicts: pd.DataFrame | None) -> str:
    """Say what grouping found in a dataset.

    Parameters
    ----------
    dataset : str
        Its title, HTML.
    groups, pairs, conflicts : pandas.DataFrame
        Schemas ``image_groups``, ``image_pairs`` and ``image_conflicts``, of this dataset.
    """
    sizes = groups.loc[groups["kept"], "group"].value_counts()
    several, used = int((sizes > 1).sum()), int(groups["kept"].sum())
    images = some(used, "image") if used == len(groups) else f"{count(used)} of {some(len(groups), 'image')}"
    said = f"<b>{dataset}</b>: {images} in use, in {some(len(sizes), 'group')}; {count(several)} with several images"
    said += f", the largest with {count(sizes.max())}." if several else "."
    if pairs is not None and len(pairs):
        ways = pairs["found_by"].value_counts(sort=False)
        said += " Pairs: " + ", ".join(f"{count(ways[way])} by {FOUND_BY.get(way, way)}" for way in ways.index) + "."
    if conflicts is not None and len(conflicts):
        said += f" {some(len(conflicts), 'image')} with copies under another label, "
        said += f"of which {count((~conflicts['kept']).sum())} were dropped since the classes differ too."
    return said


def leak(row: pd.Series, where: str) -> str:
    """Say what ignoring groups did to a dataset's AUC."""
    lower, upper, gain = row["lower"], row["upper"], row["difference"]
    said = (
        f"<b>{where}</b>: with groups ignored, {percent(row['leaks'])} of the test images "
        f"have an image of their group in training; the test AUC is then {three(row['auc_images'])} instead of "
        f"{three(row['auc_groups'])}, a difference of {signed(gain)}{bounds(lower, upper)}. "
    )
    if pd.isna(lower) or pd.isna(upper):
        return said + "There are too few splits for an interval."
    if lower > 0:
        return said + "The score without groups is inflated."
    return said + (
        "The score without groups is lower, which no leak explains."
        if upper < 0
        else "These splits do not tell it from 0."
    )


def better(estimate: float, a: str, b: str) -> tuple[str, str]:
    """Return the better one first."""
    return (a, b) if estimate >= 0 else (b, a)


def published_effect(row: pd.Series, factor: str, base: str, name: Namer) -> str:
    """Say what a published model makes of a level."""
    level = row["term"].split("=", 1)[1]
    told = "different from 0" if row["p"] < LIMIT else "not told from 0"
    return (
        f"{name(factor, level)} less {name(factor, base)}: {signed(row['estimate'])}"
        f"{bounds(row['lower'], row['upper'])}, p {p_value(row['p'])}, {told} as published."
    )


def factor_of(kind: str) -> str:
    """Return the factor that a kind of contrasts is about."""
    return kind.removesuffix("_by_backbone")


def contrast(row: pd.Series, name: Namer) -> str:
    """Say what the recommended model makes of a pair, from the interval of settings and patients."""
    factor = factor_of(row["kind"])
    where = [name(kind, row[kind]) for kind in ("dataset", "backbone") if pd.notna(row[kind])]
    place = f"<b>{', '.join(where)}</b>: " if where else ""
    first, second = better(row["estimate"], name(factor, row["a"]), name(factor, row["b"]))
    lower, upper, p = row["lower_both"], row["upper_both"], row["p_both_holm"]
    if row["estimate"] < 0:
        lower, upper = -upper, -lower
    said = f"{place}{first} less {second} is {signed(abs(row['estimate']))}{bounds(lower, upper)}"
    if pd.isna(p):
        return said + "; this grid has too few fits to say how sure that is."
    verdict = "better" if p < LIMIT else "not told apart"
    return said + f", Holm's p {p_value(p)}: {verdict} with other settings and other patients."


def optimism(contrasts: pd.DataFrame) -> str:
    """Say how many contrasts only look sure because the test images are taken as given."""
    rows = contrasts[contrasts["p_settings_holm"].notna() & contrasts["p_both_holm"].notna()]
    if rows.empty:
        return ""
    sure, both = (int((rows[f"p_{kind}_holm"] < LIMIT).sum()) for kind in ("settings", "both"))
    larger = int((rows["se_groups"] > rows["se_settings"]).sum())
    return (
        f"Of {len(rows)} planned contrasts, {sure} differ from 0 if the test images are taken as given, and {both} if "
        f"they are not (Holm, {LIMIT}). The patients are the larger part of the uncertainty in {larger} of them."
    )


def opposite(contrasts: pd.DataFrame, name: Namer) -> list[str]:
    """Name pairs of weights whose difference is surely below 0 on a dataset and backbone and surely above on another.

    Sure is what the interval of settings and patients says; estimates alone have both signs by chance.
    """
    rows = contrasts[(contrasts["kind"] == "weights_by_backbone") & contrasts["estimate"].notna()]
    said = []
    for (a, b), some in rows.groupby(["a", "b"], sort=False):
        below, above = some[some["upper_both"] < 0], some[some["lower_both"] > 0]
        if len(below) and len(above):
            ends = []
            for row in (below.loc[below["estimate"].idxmin()], above.loc[above["estimate"].idxmax()]):
                where = f"{name('dataset', row['dataset'])} with {name('backbone', row['backbone'])}"
                ends.append(f"{signed(row['estimate'])}{bounds(row['lower_both'], row['upper_both'])} on {where}")
            said.append(
                f"{name('weights', a)} less {name('weights', b)} goes from {ends[0]} to {ends[1]}: one mean over "
                "datasets and backbones hides effects of opposite sign."
            )
    return said


def tested(row: pd.Series, where: str, name: Namer) -> str:
    """Say what DeLong's and McNemar's tests make of a pair."""
    first, second = better(row["difference"], name("weights", row["a"]), name("weights", row["b"]))
    p = row["p_delong_holm"] if pd.notna(row["p_delong_holm"]) else row["p_delong"]
    told = "is better than" if p < LIMIT else "is not told apart from"
    said = (
        f"<b>{where}</b>: {first} {told} {second} by AUC (difference "
        f"{signed(abs(row['difference']))}, p {p_value(p)}; {count(row['units'])} {row['unit']}s in "
        f"{count(row['groups'])} groups)."
    )
    if pd.isna(row["only_a"]):
        return said
    kind, p = ("p by groups", "clustered") if row["groups"] < row["units"] else ("exact p", "exact")
    holm = row["p_mcnemar_holm"]
    adjusted = "not adjusted" if pd.isna(holm) else f"by Holm's rule {p_value(holm)}"
    return said + (
        f" Of {count(row['only_a'] + row['only_b'])} decisions that one of them alone gets right, "
        f"{name('weights', row['a'])} has {count(row['only_a'])} (McNemar's {kind} {p_value(row[f'p_mcnemar_{p}'])}, "
        f"{adjusted})."
    )


def looked(rows: pd.DataFrame, where: str) -> str:
    """Say where the maps of a cell lie.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of ``explain_summary`` of a cell (predicted class, all images), index ``quantity``.
    where : str
        Name of dataset and cell, HTML.
    """
    energy = rows.loc["energy"] if "energy" in rows.index else None
    if energy is None or pd.isna(energy["value"]):
        return f"<b>{where}</b>: no image has a lesion outlined, so that there is nothing to hold the maps against."
    said = (
        f"<b>{where}</b>: {percent(energy['value'])} of the maps lies inside the lesion, which covers "
        f"{percent(rows['value'].get('chance'))} of the image. "
    )
    for quantity, words in (("random", "untrained networks have"), ("others", "in other images' lesions lies")):
        if f"energy_over_{quantity}" in rows.index and pd.notna(rows["value"].get(f"energy_{quantity}")):
            gain = rows.loc[f"energy_over_{quantity}"]
            said += f"{words[0].upper()}{words[1:]} {percent(rows['value'][f'energy_{quantity}'])} (difference "
            said += f"{interval(gain['value'], gain['lower'], gain['upper'], 3)}, {count(gain['groups'])} groups). "
    return said + _trained(rows)


def _trained(rows: pd.DataFrame) -> str:
    """Say what training has to do with the place of maps; rows as in :func:`looked`."""
    lower, upper = (
        {name: ends.get(f"energy_over_{name}") for name in ("random", "others")}
        for ends in (rows["lower"], rows["upper"])
    )
    if pd.isna(lower["random"]):
        return "There are too few groups or untrained networks to say what training has to do with it."
    if upper["random"] < 0:
        return "The maps carry less energy in lesions than those of untrained networks."
    if lower["random"] <= 0:
        return "Training is not seen in where they look."
    if pd.isna(lower["others"]):
        return "The maps carry more energy in lesions than those of untrained networks."
    if lower["others"] > 0:
        return "Training made the networks look at the lesion."
    return (
        "The maps carry more energy in lesions than those of untrained networks, but no more than in other images' "
        "lesions: position, not the lesion."
    )


def randomised(rows: pd.DataFrame, where: str) -> str:
    """Say what is left of the maps of a cell when learned weights are taken away; rows of one cell."""
    left = rows.groupby("number")["rank_correlation"].mean()
    if left.notna().sum() == 0:
        return ""
    first, last = left.index.min(), left.index.max()
    said = f"<b>{where}</b>: the maps' rank correlation with those of the trained network is {number(2)(left[first])} "
    said += f"with fresh weights in the head alone and {number(2)(left[last])} with fresh weights in all stages."
    if left[last] > 0.5:
        said += " Maps that hardly change show the image rather than what was learned."
    return said
