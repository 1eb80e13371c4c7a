"""Tables in and out: files, partitions, splits, features, and example data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.core.lazy import lazy_exports

if TYPE_CHECKING:
    from gristmill.data.catalog import Dataset as Dataset
    from gristmill.data.catalog import datasets as datasets
    from gristmill.data.catalog import fetch as fetch
    from gristmill.data.catalog import load as load
    from gristmill.data.features import Columns as Columns
    from gristmill.data.features import HashedNgrams as HashedNgrams
    from gristmill.data.features import featurizer_from_json as featurizer_from_json
    from gristmill.data.features import featurizer_to_json as featurizer_to_json
    from gristmill.data.file_part import FilePart as FilePart
    from gristmill.data.file_part import TableParts as TableParts
    from gristmill.data.file_part import file_parts as file_parts
    from gristmill.data.formats import read_partitions as read_partitions
    from gristmill.data.formats import read_table as read_table
    from gristmill.data.formats import read_table_with_rejects as read_table_with_rejects
    from gristmill.data.formats import require_rows as require_rows
    from gristmill.data.formats import scan_table as scan_table
    from gristmill.data.formats import write_table as write_table
    from gristmill.data.partition import Partition as Partition
    from gristmill.data.partition import partitions as partitions
    from gristmill.data.read_log import ReadNote as ReadNote
    from gristmill.data.splits import sample as sample
    from gristmill.data.splits import split as split
    from gristmill.data.stream import TableStream as TableStream
    from gristmill.data.stream import open_stream as open_stream
    from gristmill.data.table import ROW_ID as ROW_ID
    from gristmill.data.table import TableLike as TableLike
    from gristmill.data.table import as_table as as_table
    from gristmill.data.table import with_row_id as with_row_id

_EXPORTS = {
    "ROW_ID": "table",
    "Columns": "features",
    "Dataset": "catalog",
    "FilePart": "file_part",
    "HashedNgrams": "features",
    "Partition": "partition",
    "ReadNote": "read_log",
    "TableLike": "table",
    "TableParts": "file_part",
    "TableStream": "stream",
    "as_table": "table",
    "datasets": "catalog",
    "featurizer_from_json": "features",
    "featurizer_to_json": "features",
    "fetch": "catalog",
    "file_parts": "file_part",
    "load": "catalog",
    "open_stream": "stream",
    "partitions": "partition",
    "read_partitions": "formats",
    "read_table": "formats",
    "read_table_with_rejects": "formats",
    "require_rows": "formats",
    "sample": "splits",
    "scan_table": "formats",
    "split": "splits",
    "with_row_id": "table",
    "write_table": "formats",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _EXPORTS)
