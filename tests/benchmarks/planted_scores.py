"""What linear heads find in representations of people who trained nothing, with bootstrap intervals over people."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.study.files import atomic
from workflow_scripts.lib.study.seeds import generator
from workflow_scripts.lib.study.tables import write_table

FOLDS = 10
PENALTIES = np.logspace(-2, 4, 13)
# target -> (where its truth lies, metric, name in print)
TARGETS = {
    "hidden": ("outside", "r2", "hidden amplitude"),
    "hidden_given_a": ("outside", "r2", "hidden amplitude, less what A explains"),
    "carrier": ("outside", "auc", "label that hidden decides"),
    "brain_age": ("inside", "r2", "brain age"),
    "severity": ("inside", "r2", "severity of disease"),
    "patient": ("inside", "auc", "patient or not"),
}
RIVALS = ("features", "simclr", "simclr_bare", "random")
NAMES = {
    "features": "Features alone",
    "rnce": "R-NCE",
    "rnce_head": "R-NCE, with a head",
    "simclr": "SimCLR",
    "simclr_bare": "SimCLR, no projector",
    "random": "Random weights",
}


def cross_predict(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Predict each person by ridge regressions on the people of the other folds.

    Shapes n x d, n x targets -> n x targets. Columns are standardised and the penalty of each target is chosen (leave
    one out) inside the people who are fitted.
    """
    fold = generator(0, "folds").permutation(len(x)) % min(FOLDS, len(x))
    out = np.empty(y.shape)
    for number in range(fold.max() + 1):
        left = fold == number
        model = make_pipeline(StandardScaler(), RidgeCV(PENALTIES, alpha_per_target=True)).fit(x[~left], y[~left])
        out[left] = model.predict(x[left]).reshape(-1, y.shape[1])
    return out


def r2_draws(y: np.ndarray, predicted: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """1 - squared error / squared deviation from the mean, of each draw of people (draws x n indices)."""
    y, predicted = y[draws], predicted[draws]
    return 1 - ((y - predicted) ** 2).sum(1) / ((y - y.mean(1, keepdims=True)) ** 2).sum(1)


def auc_draws(y: np.ndarray, predicted: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each draw of people (draws x n indices)."""
    y, ranks = y[draws], stats.rankdata(predicted[draws], axis=1)
    ones = y.sum(1)
    return ((ranks * y).sum(1) - ones * (ones + 1) / 2) / (ones * (y.shape[1] - ones))


METRICS = {"r2": r2_draws, "auc": auc_draws}


class Asked:
    """The people who are asked: their truth and features, and the draws of the bootstrap (the first is everybody)."""

    def __init__(self, people: pd.DataFrame, features: pd.DataFrame, columns: list[list[str]], split: str, draws: int):
        self.rows = np.flatnonzero(people["split"] == split)
        self.columns = columns
        self.features = features.iloc[self.rows]
        covered = list(dict.fromkeys(name for part in columns for name in part))
        self.a = self.features[covered].to_numpy(float)
        self.truth = {name: people[name].to_numpy(float)[self.rows] for name in TARGETS if name in people}
        self.truth["hidden_given_a"] = self.truth["hidden"] - cross_predict(self.a, self.truth["hidden"][:, None])[:, 0]
        count = len(self.rows)
        random = generator(0, "bootstrap").integers(0, count, (draws, count))
        self.draws = np.concatenate([np.arange(count)[None], random])

    def ask(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Score a representation on all targets: one number a draw."""
        predicted = cross_predict(x, np.stack([self.truth[target] for target in TARGETS], axis=1))
        answers = {}
        for (target, (_, metric, _)), column in zip(TARGETS.items(), predicted.T, strict=True):
            answers[target] = METRICS[metric](self.truth[target], column, self.draws)
        return answers

    def recover(self, x: np.ndarray, names: list[str]) -> np.ndarray:
        """R2 of each feature from a representation: features x draws."""
        y = self.features[names].to_numpy(float)
        predicted = cross_predict(x, y)
        return np.stack([r2_draws(y[:, k], predicted[:, k], self.draws) for k in range(len(names))])


def _row(values: np.ndarray, **keys: object) -> dict:
    lower, upper = np.percentile(values[1:], [2.5, 97.5])
    return {**keys, "value": values[0], "lower": lower, "upper": upper}


def score(
    people: pd.DataFrame,
    features: pd.DataFrame,
    columns: list[list[str]],
    found: dict[str, list[dict[str, np.ndarray]]],
    split: str,
    draws: int,
) -> pd.DataFrame:
    """Score all representations on all targets.

    Parameters
    ----------
    people, features : pandas.DataFrame
        As phantom_store writes them, in the same order.
    columns : list of list of str
        Features of each location.
    found : dict
        Method -> one dictionary a seed: level -> array (patch: people x locations x width, image: people x width).
    split : {'test', 'validate'}
    draws : int

    Returns
    -------
    pandas.DataFrame
        ``table`` (outside, inside, recovered), ``level``, ``target``, ``metric``, ``representation``, ``against``
        (empty for a score, else the rival that is taken away), ``value``, ``lower``, ``upper``: 95 % over people, the
        mean of all seeds in every draw.
    """
    asked = Asked(people, features, columns, split, draws)
    rows = []
    for level in ("patch", "image"):
        own = {name: [made[level][asked.rows] for made in seeds if level in made] for name, seeds in found.items()}
        own = {name: seeds for name, seeds in own.items() if seeds}
        rows += _recovered(asked, level, own)
        everything = {"features": [asked.a], **{k: [x.reshape(len(x), -1) for x in v] for k, v in own.items()}}
        answers = {name: [asked.ask(x) for x in seeds] for name, seeds in everything.items()} if own else {}
        for target, (table, metric, _) in TARGETS.items() if own else ():
            got = {name: np.mean([one[target] for one in seeds], axis=0) for name, seeds in answers.items()}
            said = {"table": table, "level": level, "target": target, "metric": metric}
            rows += [_row(values, **said, representation=name, against="") for name, values in got.items()]
            for own in [name for name in ("rnce", "rnce_head") if name in got]:
                for rival in [rival for rival in RIVALS if rival in got]:
                    rows.append(_row(got[own] - got[rival], **said, representation=own, against=rival))
    return pd.DataFrame(rows)


def _recovered(asked: Asked, level: str, own: dict[str, list[np.ndarray]]) -> list[dict]:
    """R2 of A from H: each feature, and their mean. At patch level from the representation of its location alone."""
    rows = []
    for name, seeds in own.items():
        parts = []
        for x in seeds:
            places = [x[:, place] for place in range(x.shape[1])] if level == "patch" else [x] * len(asked.columns)
            parts.append(np.concatenate([asked.recover(h, c) for h, c in zip(places, asked.columns, strict=True)]))
        each = np.mean(parts, axis=0)
        said = {"table": "recovered", "level": level, "metric": "r2", "representation": name, "against": ""}
        rows.append(_row(each.mean(0), **said, target="mean"))
        names = [column for part in asked.columns for column in part]
        rows += [_row(values, **said, target=target) for target, values in zip(names, each, strict=True)]
    return rows


def _cell(row: object, sign: str) -> str:
    return f"{row.value:{sign}.3f} ({row.lower:{sign}.3f}, {row.upper:{sign}.3f})"


def _title(rows: pd.DataFrame, target: str) -> str:
    metric = {"r2": "R²", "auc": "AUC"}[rows.loc[rows["target"] == target, "metric"].iloc[0]]
    return f"{TARGETS[target][2] if target in TARGETS else target}, {metric}"


def _table(rows: pd.DataFrame, turned: bool) -> list[str]:
    """Write one table: a row a representation or difference and a column a target, or the other way round."""
    targets = list(dict.fromkeys(rows["target"]))
    kinds = list(dict.fromkeys(zip(rows["representation"], rows["against"], strict=True)))
    kinds = [kind for kind in kinds if not kind[1]] + [kind for kind in kinds if kind[1]]
    found = {(row.representation, row.against, row.target): row for row in rows.itertuples()}
    heads = [f"{NAMES[name]} less {NAMES[rival]}" if rival else NAMES[name] for name, rival in kinds]
    cells = [[_cell(found[*kind, target], "+" if kind[1] else "") for target in targets] for kind in kinds]
    titles = [_title(rows, target) for target in targets]
    if turned:
        heads, titles, cells = titles, heads, list(zip(*cells, strict=True))
    lines = [f"| | {' | '.join(titles)} |", "| --- |" + " --- |" * len(titles)]
    return lines + [f"| {head} | {' | '.join(line)} |" for head, line in zip(heads, cells, strict=True)]


def markdown(scores: pd.DataFrame) -> str:
    """Write the tables: how well A is recovered, then outside and inside, each level apart."""
    lines = []
    for level in [level for level in ("patch", "image") if level in set(scores["level"])]:
        for table in ("recovered", "outside", "inside"):
            rows = scores[(scores["level"] == level) & (scores["table"] == table)]
            lines += ["", f"### {table.capitalize()}, {level} level", "", *_table(rows, turned=table == "recovered")]
    return "\n".join(lines).strip() + "\n"


def draw(scores: pd.DataFrame, level: str) -> Figure:
    """Draw one level: features recovered, outside, inside; points and 95 % intervals."""
    style.apply()
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    panels = figure.subplots(1, 3)
    titles = {"recovered": "A from H", "outside": "Truth outside A", "inside": "Truth inside A"}
    part = scores[(scores["level"] == level) & (scores["against"] == "")]
    methods = list(dict.fromkeys(part["representation"]))
    for axes, (table, title) in zip(panels, titles.items(), strict=True):
        rows = part[part["table"] == table]
        targets = list(dict.fromkeys(rows["target"]))
        for place, name in enumerate(methods):
            mine = rows[rows["representation"] == name]
            at = [targets.index(target) + 0.15 * (place - (len(methods) - 1) / 2) for target in mine["target"]]
            error = [mine["value"] - mine["lower"], mine["upper"] - mine["value"]]
            look = {"fmt": style.marker(name), "color": style.colour(name), "markersize": 3.5, "linewidth": 1}
            axes.errorbar(mine["value"], at, xerr=error, label=NAMES[name], **look)
        names = [TARGETS[target][2] if target in TARGETS else target.removesuffix("_volume") for target in targets]
        names = [name.replace(", ", ",\n").replace(" that ", "\nthat ") for name in names]
        axes.set_yticks(range(len(targets)), names, fontsize=6)
        axes.invert_yaxis()
        axes.set(title=title, xlabel="R²" if table == "recovered" else "R² or AUC")
    panels[0].axvline(0.9, color="black", linewidth=0.6, linestyle=":")
    handles, labels = panels[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def write(scores: pd.DataFrame, folder: Path, figure: Path) -> None:
    """Write ``scores.tsv``, ``tables.md`` and the figure."""
    write_table(scores, folder / "scores.tsv")
    with atomic(folder / "tables.md") as temporary:
        Path(temporary).write_text(markdown(scores), encoding="utf-8")
    with atomic(figure) as temporary:
        draw(scores, "patch").savefig(temporary, format="png", metadata={"Software": None}, bbox_inches="tight")
