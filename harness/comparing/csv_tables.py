"""Per-sample tables as CSV, for models that this harness never trained.

One row an expression (and a seed), with a header. Needed: `ref_id`, `sentence`, `intersection`, `union` in pixels, and
`image_id` or `cluster_id`. Optional: `model`, `variant`, `seed`, `split`, `protocol`, `dataset`, `category`,
`mask_area`, `area_share`, `center_x`, `center_y`. docs/comparing.md has an example.
"""

import warnings
from pathlib import Path

import pandas as pd

from harness.errors import HarnessError, suggestion

NEEDED = ("ref_id", "sentence", "intersection", "union")
CLUSTERS = ("cluster_id", "image_id")
WHOLE = ("intersection", "union", "seed", "mask_area")
REAL = ("area_share", "center_x", "center_y")
TEXT = ("sentence", "model", "variant", "split", "protocol", "dataset", "category")
MOST_BYTES = 2**26  # of a file: some 400,000 rows
MOST_HEADER = 2**13  # bytes; columns cost pandas more than rows
OTHERS = {";": "semicolons", "\t": "tabs", "|": "bars"}  # that spreadsheets write in place of commas
KNOWN = (*dict.fromkeys((*NEEDED, *CLUSTERS, *WHOLE, *REAL, *TEXT)),)


def read_csv(path: Path | str) -> pd.DataFrame:
    """Read a per-sample table from a CSV file in UTF-8.

    Args:
        path: the file. Identifiers may be any text; a column that holds nothing but whole numbers is one of numbers.

    Raises:
        HarnessError: the file is missing, no CSV or too large, a column is missing, or a value is no number where
            one is needed; names the line.
    """
    try:
        _require_small(Path(path))
        # As text first: a number that is none is then named with its line, and no sentence ("NA") becomes a gap.
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a first row longer than the header
            table = pd.read_csv(
                path,
                dtype=str,
                keep_default_na=False,
                encoding="utf-8",
                skipinitialspace=True,
                index_col=False,
            )
    except FileNotFoundError:
        raise HarnessError(f"{path} does not exist; docs/comparing.md says what it has to hold") from None
    except (OSError, ValueError, pd.errors.ParserWarning) as error:  # pandas' own are ValueErrors
        raise HarnessError(
            f"{path} cannot be read as CSV ({' '.join(str(error).split())}); it wants a header and commas, in UTF-8"
        ) from None
    missing = [name for name in NEEDED if name not in table]
    if not any(name in table for name in CLUSTERS):
        missing.append("image_id (or cluster_id)")
    if missing:
        held = ", ".join(map(str, table.columns)) or "none"
        if len(table.columns) == 1 and (
            found := next((name for sign, name in OTHERS.items() if sign in held), None)
        ):
            raise HarnessError(f"{path} has its columns separated by {found}; a CSV file here has commas")
        close = "".join(suggestion(name, list(table.columns)) for name in missing[:1])
        raise HarnessError(f"{path} lacks the column {', '.join(missing)}.{close} It has {held}")
    table = table[[name for name in KNOWN if name in table]]
    for column in (*WHOLE, *REAL):
        if column in table:
            table[column] = _numbers(table[column], path, whole=column in WHOLE)
    impossible = (table["intersection"] < 0) | (table["intersection"] > table["union"])
    if impossible.any():
        row = table[impossible].iloc[0]
        held = f"intersection {row['intersection']} and union {row['union']}"
        raise HarnessError(
            f"{path}, line {_line(impossible)}: {held} cannot be: they are pixels, 0 <= intersection <= union"
        )
    for column in ("ref_id", *CLUSTERS):
        if column in table:
            if (empty := table[column] == "").any():
                raise HarnessError(f"{path}, line {_line(empty)}: {column} is empty")
            if table[column].str.fullmatch(r"-?\d{1,18}").all():
                table[column] = table[column].astype("int64")
    return table


def _require_small(path: Path) -> None:
    with path.open("rb") as file:
        header = len(file.readline(MOST_HEADER + 1))
    for size, most, what in ((header, MOST_HEADER, "its header"), (path.stat().st_size, MOST_BYTES, "it")):
        if size > most:
            raise HarnessError(f"{path} is refused: {what} has more than {most:,} bytes")


def _numbers(values: pd.Series, path: Path | str, *, whole: bool) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = numbers.isna() & ~((values == "") & (not whole))
    if whole:
        wrong |= numbers % 1 != 0
    if wrong.any():
        kind = "a whole number" if whole else "a number"
        raise HarnessError(
            f"{path}, line {_line(wrong)}: {values.name} is {values[wrong].iloc[0]!r}; {kind} is needed"
        )
    return numbers.astype("int64") if whole else numbers


def _line(where: pd.Series) -> int:
    """The line of the first row, after the header; sentences with line breaks in quotes are not counted."""
    return int(where.to_numpy().argmax()) + 2
