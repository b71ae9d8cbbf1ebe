"""Small genotypes with linkage, and traits of a known heritability, for tests of GREML and of gene scores."""

import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics import bed


def genotypes(people: int, blocks: int, size: int, random: np.random.Generator, chromosomes: int = 2) -> bed.Genotypes:
    """Draw blocks of linked variants, 1 kb apart within a block and 50 kb between blocks."""
    common = random.normal(size=(blocks, 1, 2, people))
    own = random.normal(size=(blocks, size, 2, people))
    border = random.normal(0, 0.6, size=(blocks, size, 1, 1))
    calls = (0.8 * common + 0.6 * own > border).sum(axis=2, dtype=np.int8).reshape(blocks * size, people)
    block, place = np.divmod(np.arange(len(calls)), size)
    chrom = block * chromosomes // blocks
    first = np.unique(chrom, return_index=True)[1]
    position = 1_000_000 + (block - block[first][chrom]) * 50_000 + place * 1000
    variants = pd.DataFrame({"chrom": (chrom + 1).astype(str), "id": [f"rs{row}" for row in range(len(calls))]})
    variants = variants.assign(cm=position / 1e6, pos=position, alt="A", ref="G")
    samples = pd.DataFrame({"participant_id": [f"p{row:04d}" for row in range(people)], "sex": "F"})
    return bed.Genotypes(samples, variants, calls)


def standardised(calls: np.ndarray) -> np.ndarray:
    """Return people x variants with mean 0 and variance 1; calls without missing ones."""
    values = calls.T.astype(float)
    return (values - values.mean(axis=0)) / values.std(axis=0)


def relatedness(values: np.ndarray) -> np.ndarray:
    return values @ values.T / values.shape[1]


def pair_of_traits(
    values: np.ndarray, h2: tuple[float, float], rg: float, re: float, random: np.random.Generator
) -> np.ndarray:
    """Draw two traits, people x 2, of total variance about 1, all variants with effects."""
    effects = random.normal(size=(values.shape[1], 2)) @ np.linalg.cholesky([[1, rg], [rg, 1]]).T
    noise = random.normal(size=(len(values), 2)) @ np.linalg.cholesky([[1, re], [re, 1]]).T
    share = np.array(h2)
    return values @ effects / np.sqrt(values.shape[1]) * np.sqrt(share) + noise * np.sqrt(1 - share)
