"""Tables that cross stages: read and written with their schema, which also documents them."""

import functools
import os
import re
from pathlib import Path

import pandas as pd
import yaml

from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import atomic

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
NUMBERS = {"number", "integer"}
NOUNS = {"string": "text", "number": "a number", "integer": "a whole number", "boolean": "True or False"}


@functools.cache
def load_schema(name: str) -> dict:
    """Read ``schemas/NAME.schema.yaml``; :class:`StudyError` if there is none."""
    path = SCHEMAS / f"{name}.schema.yaml"
    if not path.exists():
        known = sorted(file.name.removesuffix(".schema.yaml") for file in SCHEMAS.glob("*.schema.yaml"))
        raise StudyError(f"no schema named '{name}'; known: {', '.join(known)}")
    return yaml.safe_load(path.read_text())


def _types(rule: dict) -> set[str]:
    kinds = rule.get("type", "string")
    return {kinds} if isinstance(kinds, str) else set(kinds)


def _refuse(source: str, line: int, column: str, value: object, rule: dict, expected: str) -> None:
    hint = rule.get("description", "")
    # numpy's numbers would show as np.int64(430)
    found = "nothing" if pd.isna(value) else repr(value.item() if hasattr(value, "item") else value)
    raise StudyError(
        f"{source}, line {line}, column '{column}': found {found}, expected {expected}. "
        f"{hint} Correct the value or leave out the row."
    )


def _check_column(values: pd.Series, rule: dict, source: str) -> None:
    """Refuse the first value of a column that its rule does not allow."""
    types = _types(rule)
    expected = " or ".join(NOUNS[kind] for kind in sorted(types - {"null"}))
    column = str(values.name)

    def refuse_first(bad: pd.Series, what: str) -> None:
        if bad.any():
            row = int(bad.to_numpy().argmax())
            _refuse(source, row + 2, column, values.iloc[row], rule, what)

    missing = values.isna()
    if "null" not in types:
        refuse_first(missing, f"{expected}, not an empty cell")
    present = ~missing
    if types & NUMBERS:
        numbers = pd.to_numeric(values, errors="coerce")
        refuse_first(present & numbers.isna(), expected)
        if "integer" in types and "number" not in types:
            refuse_first(present & (numbers % 1 != 0), "a whole number")
        if "minimum" in rule:
            refuse_first(numbers < rule["minimum"], f"at least {rule['minimum']}")
        if "maximum" in rule:
            refuse_first(numbers > rule["maximum"], f"at most {rule['maximum']}")
    elif "boolean" in types:
        # beside a wrong word, pandas leaves the right ones as text
        refuse_first(present & ~values.isin([True, False, "True", "False"]), expected)
    if "enum" in rule:
        legal = [value for value in rule["enum"] if value is not None]
        refuse_first(present & ~values.isin(legal), f"one of {', '.join(map(str, legal))}")
    if "pattern" in rule:
        matches = values.astype("string").str.fullmatch(rule["pattern"]).fillna(True).astype(bool)
        refuse_first(present & ~matches, f"text of the form {rule['pattern']}")


def check_table(table: pd.DataFrame, name: str, source: str, extra: tuple[str, ...] = ()) -> None:
    """Refuse a table that does not fit its schema.

    Parameters
    ----------
    table : pandas.DataFrame
    name : str
        Name of the schema. Beside JSON schema's words (type, enum, minimum, maximum, pattern,
        required, additionalProperties, patternProperties) it may have ``key``: the columns that
        together name a row and may not repeat.
    source : str
        The file's name, for messages.
    extra : tuple of str
        Further columns to allow (names that the config declares).

    Raises
    ------
    StudyError
        Names file, line, column, value and what is expected.
    """
    schema = load_schema(name)
    rules = schema["properties"]
    absent = [column for column in schema.get("required", []) if column not in table.columns]
    if absent:
        raise StudyError(
            f"{source}: column '{absent[0]}' is missing ({rules[absent[0]].get('description', '')}). "
            f"Found columns: {', '.join(map(str, table.columns))}."
        )
    patterns = schema.get("patternProperties", {})
    open_ended = schema.get("additionalProperties", True)
    for column in table.columns:
        rule = rules.get(column) or next((patterns[form] for form in patterns if re.fullmatch(form, column)), None)
        if rule:
            _check_column(table[column], rule, source)
        elif not (open_ended or column in extra):
            raise StudyError(
                f"{source}: unknown column '{column}'. Known: {', '.join([*rules, *extra])}. Correct the name, "
                "drop the column, or (participants only) declare it in config under cohort: label_columns."
            )
    key = schema.get("key")
    if key:
        repeated = table.duplicated(key)
        if repeated.any():
            row = int(repeated.to_numpy().argmax())
            same = table[key].eq(table[key].iloc[row]).all(axis=1)
            lines = ", ".join(str(index + 2) for index in same.to_numpy().nonzero()[0])
            value = " ".join(str(value) for value in table[key].iloc[row])
            raise StudyError(
                f"{source}: {' + '.join(key)} '{value}' stands on lines {lines}; it must name one row. "
                "Remove the repeated row or give it its own id."
            )


def _read_tsv(path: Path, text: dict[str, str]) -> pd.DataFrame:
    """Read a TSV file, or say of it why it is no table."""
    missing = ["", "n/a", "NA", "nan", "NaN"]
    try:
        table = pd.read_csv(path, sep="\t", dtype=text, keep_default_na=False, na_values=missing)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        fault = str(error).strip()
        raise StudyError(f"{path}: not a tab-separated table in UTF-8 ({fault}). Save it as one.") from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes surplus cells in front for row names
        raise StudyError(f"{path}: rows have more cells than the header has names. Remove tabs at the ends of rows.")
    return table


def read_table(path: str | os.PathLike, schema: str | None = None, extra: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a TSV or Parquet table and check it against its schema.

    Ids and other text columns of the schema stay text (``"007"`` is not 7); ``n/a`` and empty cells
    are missing.
    """
    path = Path(path)
    if not path.exists():
        raise StudyError(f"{path}: no such file")
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
    else:
        rules = load_schema(schema)["properties"] if schema else {}
        text = {column: "str" for column, rule in rules.items() if not _types(rule) & (NUMBERS | {"boolean"})}
        table = _read_tsv(path, text)
    if schema:
        check_table(table, schema, str(path), extra)
    return table


def write_table(
    table: pd.DataFrame, path: str | os.PathLike, schema: str | None = None, extra: tuple[str, ...] = ()
) -> None:
    """Check a table against its schema and write it as TSV or Parquet (by the suffix), atomically.

    Numbers are written with 10 significant digits, so that equal runs give equal files.
    """
    path = Path(path)
    if schema:
        check_table(table, schema, str(path), extra)
    with atomic(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            separator = "," if path.suffix == ".csv" else "\t"
            table.to_csv(temporary, sep=separator, index=False, na_rep="n/a", float_format="%.10g")
