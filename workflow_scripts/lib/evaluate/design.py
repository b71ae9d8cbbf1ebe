"""From a table of runs to the columns of a linear mixed model."""

import dataclasses
import itertools

import numpy as np
import pandas as pd

from workflow_scripts.lib.study.errors import StudyError


@dataclasses.dataclass(frozen=True)
class Design:
    """Products of the columns of a model [Z, Q, r].

    Q are the fixed effects' columns made orthonormal, r is the response less its least-squares fit, so that no digits
    are lost where a column or the response is large.

    Attributes
    ----------
    cross : (q + p + 1, q + p + 1)
    group : (q,) random effect of each column of Z
    names : random effects
    levels : levels of each random effect
    terms : (p,) names of the fixed effects
    back : (p, p) from effects of Q to effects of X
    start : (p,) least-squares effects
    log_scale : float, log |X'X|
    n : int, rows
    """

    cross: np.ndarray
    group: np.ndarray
    names: list[str]
    levels: list[list[str]]
    terms: list[str]
    back: np.ndarray
    start: np.ndarray
    log_scale: float
    n: int

    @property
    def z_columns(self) -> int:
        """Number of columns of Z, q."""
        return len(self.group)

    @property
    def x_columns(self) -> int:
        """Number of fixed effects, p."""
        return len(self.terms)


def expand(fixed: list[str]) -> list[tuple[str, ...]]:
    """Write ``a*b`` out as a, b, a:b; each term once, main effects first."""
    terms = []
    for text in fixed:
        factors = [part.strip() for part in text.replace("*", ":").split(":")]
        sizes = range(1, len(factors) + 1) if "*" in text else [len(factors)]
        terms += [term for size in sizes for term in itertools.combinations(factors, size)]
    return sorted(dict.fromkeys(terms), key=len)


def levels_of(column: pd.Series) -> list:
    """List the levels of a factor in order: as a categorical column has them, else sorted."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [level for level in column.cat.categories if (column == level).any()]
    return sorted(column.unique())


def coded(column: pd.Series) -> tuple[list[str], np.ndarray]:
    """Return the names and columns of one factor: itself if numeric, else one column a level but the first."""
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return [str(column.name)], column.to_numpy(dtype=np.float64)[:, None]
    others = levels_of(column)[1:]
    columns = [(column == level).to_numpy(dtype=np.float64) for level in others]
    return [f"{column.name}={level}" for level in others], np.array(columns).reshape(len(others), len(column)).T


def fixed_columns(table: pd.DataFrame, fixed: list[str]) -> tuple[list[str], np.ndarray]:
    """Return the names and columns of the fixed effects, with an intercept first."""
    names, columns = ["intercept"], [np.ones(len(table))]
    for term in expand(fixed):
        parts = [coded(table[factor]) for factor in term]
        # the first factor's levels change fastest, as in R
        for chosen in itertools.product(*(range(len(part[0])) for part in reversed(parts))):
            chosen = chosen[::-1]
            names.append(":".join(part[0][k] for part, k in zip(parts, chosen, strict=True)))
            columns.append(np.prod([part[1][:, k] for part, k in zip(parts, chosen, strict=True)], axis=0))
    return names, np.stack(columns, axis=1)


def _check(table: pd.DataFrame, response: str, fixed: list[str], random: list[str]) -> None:
    """Refuse missing columns and values, and interactions without what they are interactions of."""
    used = [response, *(factor for text in [*fixed, *random] for factor in expand([text])[-1])]
    for column in dict.fromkeys(used):
        if column not in table:
            raise StudyError(f"mixed model: no column '{column}'; the table has {', '.join(map(str, table.columns))}.")
        if table[column].isna().any():
            row = int(np.argmax(table[column].isna()))
            raise StudyError(f"mixed model: column '{column}' is empty in row {row}. Fill it in or leave the row out.")
    terms = expand(fixed)
    for term in terms:
        for part in itertools.combinations(term, len(term) - 1):
            if part and part not in terms:
                name = ":".join(term)
                raise StudyError(
                    f"mixed model: the interaction '{name}' needs the effect '{':'.join(part)}'. Write "
                    f"'{name.replace(':', '*')}' for both."
                )


def _orthonormal(names: list[str], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split X into orthonormal columns and what makes X of them; refuse columns that others imply."""
    scale = np.linalg.norm(x, axis=0)
    q, r = np.linalg.qr(x / np.where(scale > 0, scale, 1))
    poor = np.flatnonzero(np.abs(np.diag(r)) < 1e-9)
    if len(poor) or len(x) <= x.shape[1]:
        which = names[poor[0]] if len(poor) else names[-1]
        raise StudyError(
            f"mixed model: the effect '{which}' cannot be told from the others in {len(x)} rows. Leave it or an "
            "interaction out, or add runs for the combination that is missing."
        )
    return q, r * scale


def make_design(table: pd.DataFrame, response: str, fixed: list[str], random: list[str]) -> Design:
    """Code the columns of a model; the arguments are those of :func:`workflow_scripts.lib.evaluate.mixed.fit_mixed`.

    Raises
    ------
    StudyError
        A column is missing or has empty cells, an interaction comes without its main effects, a random effect has as
        many levels as rows or one only, a fixed effect cannot be told from the others, or nothing is left to explain.
    """
    _check(table, response, fixed, random)
    terms, x = fixed_columns(table, fixed)
    q, r = _orthonormal(terms, x)
    y = table[response].to_numpy(dtype=np.float64)
    rest = y - q @ (q.T @ y)
    if np.abs(rest).max() <= 1e-12 * np.abs(y).max():
        raise StudyError(f"mixed model: the fixed effects explain '{response}' without rest; there is nothing to test.")
    blocks, levels = [], []
    for name in random:
        factors = [part.strip() for part in name.split(":")]
        key = table[factors].astype(str).agg(":".join, axis=1)
        found = sorted(key.unique())
        if not 1 < len(found) < len(table):
            raise StudyError(f"mixed model: random effect '{name}' has {len(found)} levels in {len(table)} rows.")
        levels.append(found)
        blocks.append((key.to_numpy()[:, None] == np.array(found, dtype=object)).astype(np.float64))
    z = np.hstack([*blocks, np.zeros((len(table), 0))])
    every = np.column_stack([z, q, rest])
    back = np.linalg.solve(r, np.eye(len(terms)))
    return Design(
        cross=every.T @ every,
        group=np.repeat(np.arange(len(random)), [len(found) for found in levels]).astype(int),
        names=list(random),
        levels=levels,
        terms=terms,
        back=back,
        start=back @ (q.T @ y),
        log_scale=2 * float(np.log(np.abs(np.diag(r))).sum()),
        n=len(table),
    )
