from __future__ import annotations

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from gristmill.validate.tfdv.schema_files import from_message
from gristmill.validate.tfdv.statistics_files import import_statistics


@pytest.fixture
def schema_of():
    """Turn protobuf text into a schema of ours."""
    return lambda text: from_message(text_format.Parse(text, schema_pb2.Schema()))


@pytest.fixture
def statistics_of(tmp_path):
    """Turn protobuf text of features into statistics; 10 examples where it does not say."""

    def made(features, examples=10):
        text = f"datasets {{ num_examples: {examples} {features} }}"
        text_format.Parse(text, statistics_pb2.DatasetFeatureStatisticsList())
        (tmp_path / "stats.pbtxt").write_text(text)
        return import_statistics(tmp_path / "stats.pbtxt")[0]

    return made
