"""Independent genotypes and traits with known effects, for tests of the association."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics import bed, covariates

CHROMOSOMES = ["2", "9", "10"]


def make_study(prefix, people=260, variants=400, seed=0):
    """Write ``prefix.bed``: three chromosomes of independent variants, a few calls missing, two variants constant.

    Returns ``genotypes``, ``phenotypes`` (``strong``: 0.9 a copy of the first variant and 3 years a standard deviation
    of the first component; ``null`` and ``word.2``: noise) and ``covariates``.
    """
    random = np.random.default_rng(seed)
    ids = [f"{row:04d}" for row in range(people)]
    count = variants * len(CHROMOSOMES)
    frequency = random.uniform(0.1, 0.9, count)
    frequency[0] = 0.3  # the planted one can be tested
    calls = random.binomial(2, frequency[:, None], (count, people)).astype(np.int8)
    calls[random.uniform(size=calls.shape) < 0.002] = -1
    calls[[5, 6]] = [[2], [0]]
    table = pd.DataFrame({"chrom": np.repeat(CHROMOSOMES, variants), "cm": 0.0})
    table["pos"] = np.tile(np.arange(variants) * 50_000 + 1, len(CHROMOSOMES))
    table["id"] = [f"rs{row}" for row in range(count)]
    table["ref"], table["alt"] = "A", random.choice(["C", "G", "AT"], count)
    sex = random.choice(["F", "M"], people)
    genotypes = bed.Genotypes(pd.DataFrame({"participant_id": ids, "sex": sex}), table, calls)
    bed.write_bed(genotypes, prefix)
    given = covariates.published(
        random.uniform(45, 80, people), sex, random.normal(1.5e6, 1e5, people), random.normal(size=(people, 2))
    ).set_index(pd.Index(ids, name="participant_id"))
    traits = {name: random.normal(70, 2, people) for name in ("strong", "null", "word.2")}
    traits["strong"] += 0.9 * np.maximum(calls[0], 0) + 3 * given["PC1"].to_numpy()
    traits = pd.DataFrame(traits, index=given.index)
    return SimpleNamespace(prefix=prefix, genotypes=genotypes, phenotypes=traits, covariates=given)
