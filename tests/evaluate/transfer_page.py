"""Write .docs/transfer_effects.md, its picture and the simulation it reports, from the seed's 176 published runs.

./run python -m tests.evaluate.transfer_page                                # the page and the picture
./run python -m tests.evaluate.transfer_page --simulate 3 2 --grids 200     # and 200 grids of 3 splits, 2 seeds
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tests.evaluate import image_grids, seed_runs
from workflow_scripts.lib.evaluate import grid_models, grid_ranks, grid_select, mixed
from workflow_scripts.lib.evaluate.adjust import holm
from workflow_scripts.lib.evaluate.contingency import mcnemar_counts
from workflow_scripts.lib.figures import style

ROOT = Path(__file__).resolve().parents[2]
PAGE, PICTURE = ROOT / ".docs" / "transfer_effects.md", ROOT / ".images" / "transfer_effects.png"
SIMULATED = ROOT / "tests" / "data" / "grid_simulated.tsv"
PRINTED = json.loads((seed_runs.DATA / "seed003_anchors.json").read_text())
TITLES = {"acl": "ACL (knee MRI)", "breast": "breast (ultrasound)"}
ANALYSES = ("published", "settings", "groups", "both")


def paired(runs):
    """Return a row a pair of runs that differ in the weights only, with ``gap``: RadImageNet - ImageNet."""
    keys = [key for key in seed_runs.KEYS if key != "weights"]
    wide = runs.pivot_table(index=keys, columns="weights", values="test_auc")
    return (wide["RadImageNet"] - wide["ImageNet"]).rename("gap").reset_index()


def replicates(runs):
    """Return the differences of pairs that differ in the ratio only, which never reached these heads."""
    own = runs[runs["head"].isin(["Conv", "ConvSkip"])]
    keys = [key for key in seed_runs.KEYS if key != "ratio"]
    wide = own.pivot_table(index=keys, columns="ratio", values="test_auc")
    return (wide[1.0] - wide[0.5]).to_numpy()


def interaction(runs):
    """Fit weights * dataset with all else additive and filters random, and return its terms."""
    table = runs.assign(filters=runs["filters"].astype(str))
    fixed = ["weights*dataset", "head", "backbone", "lr_decay"]
    return mixed.fit_mixed(table, "test_auc", fixed, ["filters"]).terms.set_index("term")


def contrasts(runs):
    """Return the planned contrasts of the recommended model, RadImageNet - ImageNet, Holm over all of them."""
    model = grid_models.fit_recommended(runs)
    names, rows = grid_models.planned(model)
    terms = model.fitted.terms["term"]
    found = [model.fitted.contrast(dict(zip(terms, -row, strict=True))) for row in rows]
    table = pd.concat([names, pd.DataFrame(found)], axis=1)
    return table.assign(p_holm=holm(table["p"].to_numpy()))


def hanley_mcneil(auc, positives, negatives):
    """Return the standard error of an AUC from its size alone (Hanley & McNeil 1982, Radiology 143:29)."""
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (one - auc**2) + (negatives - 1) * (two - auc**2)
    return float(np.sqrt(spread / (positives * negatives)))


def numbers(runs):
    """Collect what the page says of the runs."""
    terms, gaps = interaction(runs), replicates(runs)
    published = {
        name: grid_models.fit_published(runs, name).fitted.terms.set_index("term") for name in grid_models.PUBLISHED
    }
    found = {
        "weights": published["published_weights"].loc["weights=RadImageNet"],
        "heads": published["published_head"],
        "acl": terms.loc["weights=RadImageNet"],
        "interaction": terms.loc["weights=RadImageNet:dataset=breast"],
        "contrasts": contrasts(runs),
        "pairs": len(gaps),
        "replicate_sd": float(gaps.std(ddof=1) / np.sqrt(2)),
        "ranks": grid_ranks.ranks_table(runs, seed_runs.class_counts(runs), seed_runs.KEYS).set_index("dataset"),
    }
    best = grid_select.select_cells(runs)
    found["best"] = best[best["choice"] == "dataset"].set_index("dataset")
    return found


def p_text(p):
    """Write a p-value with two digits."""
    return f"{p:.2g}" if p >= 0.0001 else "< 0.0001"


def signed(value, digits=3):
    """Write a number with its sign."""
    return f"{value:+.{digits}f}"


def model_rows(found):
    """Return what Tables 11 and 12 become."""
    w, acl, less = found["weights"], found["acl"], found["interaction"]
    skip, none = (found["heads"].loc[f"head={name}"] for name in ("ConvSkip", "NonLinear"))
    return [
        f"| Table 11: RadImageNet {signed(w['estimate'])}, p {w['p']:.4f} | to every printed digit, by the code of "
        f"`compare_grid` | opposite effects averaged: {signed(acl['estimate'], 4)} on ACL (p {p_text(acl['p'])}), on "
        f"breast {abs(less['estimate']):.4f} less than that (interaction, p {p_text(less['p'])}; filters random) |",
        f"| Table 12: ConvSkip {signed(skip['estimate'])}, p {skip['p']:.4f}; NonLinear {signed(none['estimate'])}, "
        f"p {none['p']:.4f} | the same | {skip['estimate']:.3f} is less than the standard deviation of one run |",
    ]


def mcnemar_row(dataset, unit):
    """Return what Table 13 becomes on a dataset."""
    printed = PRINTED["mcnemar"][dataset]
    only_a, only_b = printed["implied_discordant"]
    exact = p_text(mcnemar_counts(only_a, only_b)["p_exact"])
    return (
        f"| Table 13, {dataset}: McNemar {printed['chi2']}, p {printed['p']} | {only_a} and {only_b} images that one "
        f"model alone got right | exact p {exact}; {unit} |"
    )


def rank_row(dataset, row):
    """Return what Table 14 becomes on a dataset."""
    printed = PRINTED["wilcoxon_rank_sum"][dataset]
    return (
        f"| Table 14, {dataset}: rank sum W {printed['W']}, p {printed['p']} | W {row['w']}, "
        f"p {row['p_rank_sum']:.4g}: float noise had broken ties | the cells are pairs: signed rank V {row['v']:.0f}, "
        f"p {p_text(row['p_signed_rank'])} ({row['pairs']} pairs, mean {signed(-row['mean_difference'])}) |"
    )


def published_rows(found):
    """Return the table of what Tables 11 to 14 become."""
    head = ["| published | reproduced | what becomes of it |", "| --- | --- | --- |"]
    units = {"acl": "slices count singly, though those of a knee err together", "breast": "patients are not known"}
    rows = [*model_rows(found), *(mcnemar_row(*item) for item in units.items())]
    return [*head, *rows, *(rank_row(name, found["ranks"].loc[name]) for name in units)]


def effect_rows(found):
    """Return the table of effects by dataset and backbone."""
    rows = [
        "| dataset | backbone | RadImageNet - ImageNet | 95% over settings | p | Holm |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["contrasts"].query("kind != 'head'").itertuples():
        backbone = "both" if pd.isna(row.backbone) else row.backbone
        rows.append(
            f"| {TITLES[row.dataset]} | {backbone} | {signed(row.estimate)} | "
            f"{signed(row.lower)} to {signed(row.upper)} | {p_text(row.p)} | {p_text(row.p_holm)} |"
        )
    return rows


def simulated_rows(simulated):
    """Return the table of what each analysis rejects where weights are equal."""
    rows = [
        "| splits x seeds | grids | published model | `_settings` | `_groups` | `_both` | sd of the estimate "
        "| se `_settings` | se `_groups` |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in simulated.itertuples():
        shares = " | ".join(f"{100 * getattr(row, name):.1f}%" for name in ANALYSES)
        spread = " | ".join(f"{getattr(row, name):.3f}" for name in ("sd", "se_settings", "se_groups"))
        rows.append(f"| {row.splits} x {row.seeds} | {row.grids} | {shares} | {spread} |")
    return rows


def render(runs, simulated):
    """Write the page."""
    found = numbers(runs)
    by = found["contrasts"].query("kind == 'weights_by_backbone'").set_index(["dataset", "backbone"])["estimate"]
    one, best = simulated.iloc[0], found["best"]
    auc = {name: (best.loc[name, "test_auc"], *seed_runs.COUNTS[name]) for name in TITLES}
    error = {name: hanley_mcneil(*values) for name, values in auc.items()}
    blocks = TEMPLATE.format(
        by_dense=signed(by["breast", "DenseNet121"]),
        by_res=signed(by["breast", "ResNet50"]),
        acl_dense=signed(by["acl", "DenseNet121"]),
        acl_res=signed(by["acl", "ResNet50"]),
        overall=signed(found["weights"]["estimate"]),
        p=f"{found['weights']['p']:.4f}",
        skip=signed(found["heads"].loc["head=ConvSkip", "estimate"]),
        sd=f"{found['replicate_sd']:.4f}",
        pairs=found["pairs"],
        published="\n".join(published_rows(found)),
        effects="\n".join(effect_rows(found)),
        simulated="\n".join(simulated_rows(simulated)),
        type_one=f"{100 * one['published']:.0f}",
        type_groups=f"{100 * one['groups']:.0f}",
        acl_auc=f"{auc['acl'][0]:.3f}",
        breast_auc=f"{auc['breast'][0]:.3f}",
        acl_error=f"{error['acl']:.3f}",
        breast_error=f"{error['breast']:.3f}",
        acl_cell=cell_text(best.loc["acl"]),
        breast_cell=cell_text(best.loc["breast"]),
        acl_valid=f"{best.loc['acl', 'validation_auc']:.3f}",
        breast_valid=f"{best.loc['breast', 'validation_auc']:.3f}",
    )
    return blocks


def cell_text(row):
    """Write a chosen cell without its dataset."""
    return ", ".join(row["cell"].split(".", 1)[1].split(".")[:4])


TEMPLATE = (Path(__file__).parent / "transfer_page.txt").read_text()


def draw(runs):
    """Draw every paired difference of the weights, with means and intervals over settings."""
    style.apply()
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes, gaps, sd = figure.subplots(), paired(runs), numbers(runs)["replicate_sd"]
    heads = sorted(gaps["head"].unique())
    colours = dict(zip(heads, style.PALETTE.values(), strict=False))
    table = contrasts(runs).query("kind == 'weights_by_backbone'").reset_index(drop=True)
    chance = 2 * np.sqrt(2) * sd  # each difference is of two runs
    axes.axhspan(-chance, chance, color="0.92", zorder=0, label="2 sd of a difference by chance")
    axes.axhline(0, color="0.4", linewidth=0.6)
    for place, row in table.iterrows():
        own = gaps[(gaps["dataset"] == row["dataset"]) & (gaps["backbone"] == row["backbone"])]
        for number, head in enumerate(heads):
            part = own[own["head"] == head]
            x = place - 0.27 + 0.18 * number + 0.08 * np.linspace(-0.5, 0.5, len(part))
            axes.scatter(x, part["gap"], s=11, color=colours[head], linewidths=0, label=head if place == 0 else None)
        error = [[row["estimate"] - row["lower"]], [row["upper"] - row["estimate"]]]
        axes.errorbar(place + 0.42, row["estimate"], yerr=error, fmt="s", color="black", markersize=4, capsize=2)
    axes.set_xticks(range(len(table)), [f"{TITLES[r.dataset]}\n{r.backbone}" for r in table.itertuples()])
    axes.set_ylabel("test AUC, RadImageNet - ImageNet")
    axes.legend(frameon=False, ncols=5, loc="upper center", bbox_to_anchor=(0.5, 1.14), fontsize=7)
    return figure


def simulate(splits, seeds, grids):
    """Simulate grids of equal weights and summarise what each analysis rejects, one row."""
    rows = [image_grids.analyse(np.random.default_rng([20, splits, k]), k, splits, seeds) for k in range(grids)]
    return summarise(splits, seeds, pd.DataFrame(rows))


def summarise(splits, seeds, table):
    """Return one row of the simulation's table."""
    errors = {name: np.sqrt((table[name] ** 2).mean()) for name in ("se_settings", "se_groups")}
    shares = {name: table[name].mean() for name in ANALYSES}
    names = {"splits": splits, "seeds": seeds, "grids": len(table)}
    return pd.DataFrame([names | shares | {"sd": table["estimate"].std(), **errors}])


def main():
    """Write page and picture, and a row of the simulation if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulate", nargs=2, type=int, metavar=("SPLITS", "SEEDS"))
    parser.add_argument("--grids", type=int, default=200)
    given = parser.parse_args()
    simulated = pd.read_csv(SIMULATED, sep="\t") if SIMULATED.exists() else pd.DataFrame()
    if given.simulate:
        row = simulate(*given.simulate, given.grids)
        same = (simulated[["splits", "seeds"]] == given.simulate).all(axis=1) if len(simulated) else []
        simulated = pd.concat([simulated[~np.asarray(same, dtype=bool)], row]).sort_values(["splits", "seeds"])
        simulated.to_csv(SIMULATED, sep="\t", index=False, float_format="%.6g")
    runs = seed_runs.read_runs()
    PAGE.write_text(render(runs, simulated))
    draw(runs).savefig(PICTURE, dpi=160)


if __name__ == "__main__":
    main()
