"""Compare the speed of resampled logistic fits and of permutation tests with scikit-learn and scipy, one thread each.

    ./run python -m tests.benchmarks.statistics [--resamples 1000] [--features 64 104] [--people 2431] [--rounds 5]

Fits: each resample leaves 100 people out; columns are standardised on those that train; the held-out scores are the
result. scikit-learn fits one resample after the other, ``StandardScaler`` and ``LogisticRegression()`` as it comes. Its
loop is cut into as many parts as there are rounds; in each round the library fits all resamples, and the ratio is that
of times per fit. AUCs are compared with those of scikit-learn's ``newton-cholesky`` converged to 1e-10.

Permutations: 10,000 of 1,000 pairs of scores, the library beside ``scipy.stats.permutation_test``, vectorised, in
the fastest of the forms it can be called in. Medians of rounds; cpu time, which other processes disturb less.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import sklearn
from scipy import __version__ as scipy_version
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from workflow_scripts.lib.evaluate.logistic import fit_logistic
from workflow_scripts.lib.evaluate.metrics import auc_rows
from workflow_scripts.lib.evaluate.permutation import sign_flip_test, unpaired_test
from workflow_scripts.lib.study.seeds import generator

LEFT_OUT = 100
FACTORS = 10  # features share these, as measures of one brain do


def draw_study(people: int, features: int, resamples: int, left_out: int = LEFT_OUT) -> tuple[np.ndarray, ...]:
    """Draw correlated features, labels that follow some of them, and who trains: (n, d), (n,), (resamples, n)."""
    rng = generator(0, "benchmark", people, features)
    x = rng.normal(size=(people, features)) + rng.normal(size=(people, FACTORS)) @ rng.normal(size=(FACTORS, features))
    signal = x @ rng.normal(size=features)
    y = (1.5 * signal / signal.std() + rng.logistic(size=people) > 0).astype(np.float64)
    train = np.ones((resamples, people))
    for row in train:
        row[rng.choice(people, left_out, replace=False)] = 0
    return 10 * x + 3, y, train


def timed(function: Callable) -> tuple[float, object]:
    """Return the cpu seconds of a call and what it gave."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def one_by_one(x: np.ndarray, y: np.ndarray, train: np.ndarray, **options) -> np.ndarray:
    """Fit resamples with scikit-learn, one after the other; scores of the held-out people, 0 elsewhere."""
    out = np.zeros(train.shape)
    for row, weight in zip(out, train > 0, strict=True):
        scaler = StandardScaler().fit(x[weight])
        model = LogisticRegression(**options).fit(scaler.transform(x[weight]), y[weight])
        row[~weight] = model.decision_function(scaler.transform(x[~weight]))
    return out


def compare_fits(people: int, features: int, resamples: int, rounds: int) -> dict[str, float]:
    """Time both routes and compare AUCs."""
    x, y, train = draw_study(people, features, resamples, min(LEFT_OUT, people // 4))
    fit_logistic(x, y, train[:2])
    ours, theirs = [], []
    for part in np.array_split(train, rounds):
        seconds, (scores, _) = timed(lambda: fit_logistic(x, y, train))
        ours.append(seconds / resamples)
        theirs.append(timed(lambda part=part: one_by_one(x, y, part))[0] / len(part))
    out = train == 0
    tight = one_by_one(x, y, train, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    auc = auc_rows(scores, y, out)
    return {
        "features": features,
        "library s": np.median(ours) * resamples,
        "scikit-learn s": np.median(theirs) * resamples,
        "ratio": np.median(np.array(theirs) / ours),
        "AUC difference": np.abs(auc - auc_rows(tight, y, out)).max(),
        "mean AUC": auc.mean(),
    }


def mean_difference(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
    """Differ two samples by their means."""
    return a.mean(axis=axis) - b.mean(axis=axis)


def scipy_forms(a: np.ndarray, b: np.ndarray, kind: str, count: int) -> dict[str, Callable]:
    """Give the ways to call scipy: all at once or a thousand at a time, for pairs also on the differences."""
    options = {"permutation_type": kind, "n_resamples": count, "vectorized": True}
    forms = {}
    for batch in (None, min(1000, count)):
        forms[f"two samples, batch {batch}"] = lambda batch=batch: stats.permutation_test(
            (a, b), mean_difference, batch=batch, rng=1, **options
        )
        if kind == "samples":
            forms[f"differences, batch {batch}"] = lambda batch=batch: stats.permutation_test(
                (a - b,), np.mean, batch=batch, rng=1, **options
            )
    return forms


def compare_permutations(pairs: int, count: int, rounds: int) -> list[dict[str, float]]:
    """Time both tests beside scipy's; p-values of both, which differ by chance alone."""
    rng = generator(0, "benchmark", pairs)
    a = 0.8 + rng.normal(scale=0.03, size=pairs)
    b = a + rng.normal(0.001, 0.02, size=pairs)
    rows = []
    for name, kind, test in (("sign flip", "samples", sign_flip_test), ("unpaired", "independent", unpaired_test)):
        forms = scipy_forms(a, b, kind, count)
        best = min(forms, key=lambda form: timed(forms[form])[0])
        ours, theirs = [], []
        for _ in range(rounds):
            seconds, p = timed(lambda test=test: test(a, b, count, np.random.default_rng(1)))
            ours.append(seconds)
            seconds, found = timed(forms[best])
            theirs.append(seconds)
        row = {"test": name, "library s": np.median(ours), "scipy s": np.median(theirs), "scipy's form": best}
        row |= {"ratio": np.median(np.array(theirs) / np.maximum(ours, 1e-9)), "p": p, "p scipy": found.pvalue}
        rows.append(row)
    return rows


def main(arguments: list[str] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run all and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=2431)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--features", type=int, nargs="+", default=[64, 104])
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--permutations", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    with threadpool_limits(1):
        permutations = pd.DataFrame(compare_permutations(options.pairs, options.permutations, options.rounds))
        print(f"{options.permutations} permutations of {options.pairs} pairs, scipy {scipy_version}")
        print(permutations.to_string(index=False), flush=True)
        sizes = [options.people, options.resamples, options.rounds]
        fits = pd.DataFrame([compare_fits(sizes[0], features, *sizes[1:]) for features in options.features])
        print(f"\n{options.resamples} logistic fits, {options.people} people, scikit-learn {sklearn.__version__}")
        print(fits.to_string(index=False))
    return permutations, fits


if __name__ == "__main__":
    main()
