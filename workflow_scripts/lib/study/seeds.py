"""Every random draw of the study comes from a generator made here."""

import hashlib

import numpy as np


def derive_seed(seed: int, *keys: object) -> int:
    """Derive a 63-bit seed from the study seed and the names of a job.

    Parameters
    ----------
    seed : int
        The seed of the study (config key ``seed``).
    *keys : object
        What tells this draw from every other one: rule, wildcards, scan. Never a job number,
        so that numbers do not depend on how work is cut into jobs.

    Returns
    -------
    int
        A number in [0, 2**63).
    """
    text = "\x1f".join([str(int(seed)), *(str(key) for key in keys)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(seed: int, *keys: object) -> np.random.Generator:
    """Return a numpy generator for these keys (see :func:`derive_seed`)."""
    return np.random.default_rng(derive_seed(seed, *keys))
