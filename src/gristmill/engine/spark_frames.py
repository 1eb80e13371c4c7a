"""Spark's own data frames: a function of Polars frames over one, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from gristmill.core.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType


def map_frame(
    fn: Callable[[pl.DataFrame], pl.DataFrame], frame: DataFrame, schema: StructType | str
) -> DataFrame:
    """Return a Spark data frame of what a function makes of another's rows.

    Nothing passes through the driver: Spark hands its batches to the workers by `mapInArrow`, when
    the result is asked for. So the function sees some rows at a time (10,000, unless
    spark.sql.execution.arrow.maxRecordsPerBatch says otherwise), never the whole table.

    Args:
        fn: takes some rows and returns any number of rows with the schema's columns; called once a
            batch. Travels by cloudpickle; modules of your own by the session's `addPyFile`.
        frame: of a Spark session in this process.
        schema: columns and types of the result, also as text: `"row_id string, spam double"`.

    Raises:
        DataError: a batch came back without a column, or with values that its type cannot hold;
            raised in the worker, so Spark hands it on inside an exception of its own.
    """
    from pyspark.sql.types import StructType

    wanted = StructType.fromDDL(schema) if isinstance(schema, str) else schema
    return frame.mapInArrow(partial(_batches, fn, wanted), wanted)


def _batches(
    fn: Callable[[pl.DataFrame], pl.DataFrame], schema: StructType, batches: Iterable[Any]
) -> Iterator[Any]:
    """Apply the function to Arrow batches, in a worker."""
    from pyspark.sql.pandas.types import to_arrow_schema

    wanted = to_arrow_schema(schema)
    for batch in batches:
        made = fn(cast("pl.DataFrame", pl.from_arrow(batch)))
        if missing := [name for name in wanted.names if name not in made.columns]:
            raise DataError(
                f"expected the columns {', '.join(wanted.names)}, found {', '.join(made.columns)}; "
                f"missing: {', '.join(missing)}",
                fix="return them, or leave them out of the schema",
            )
        table = made.select(wanted.names).to_arrow(compat_level=pl.CompatLevel.oldest())
        try:
            table = table.cast(wanted)
        except Exception as error:  # pyarrow's, which this package does not import
            raise DataError(
                f"the result does not have the schema's types: {error}",
                fix=f"cast the columns to {schema.simpleString()}, or change the schema",
            ) from error
        yield from table.to_batches()
