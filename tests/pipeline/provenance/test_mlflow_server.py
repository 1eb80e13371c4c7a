"""Addresses of MLflow servers; nothing here needs MLflow."""

from __future__ import annotations

import pytest

from gristmill.core.errors import UsageError
from gristmill.pipeline.provenance.mlflow_server import check_address, page_of


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:5000", "https://mlflow.example.org/team/", "databricks",
        "databricks://work", "sqlite:///mlflow.db", "postgresql+psycopg2://u@host/db",
        "file:///tmp/runs",
    ],
)  # fmt: skip
def test_addresses_that_mlflow_opens(uri: str) -> None:
    check_address(uri)


@pytest.mark.parametrize(
    "uri",
    ["", " ", "nonsense", "127.0.0.1:5000", "mlflow:5000", "./mlruns", "ftp://x/y", "http://",
     "http:/x", "http://[bad", "file", "sqlite"],
)  # fmt: skip
def test_what_is_no_address_is_no_folder_either(uri: str) -> None:
    with pytest.raises(UsageError) as told:
        check_address(uri)
    assert repr(uri) in told.value.message
    assert "http://" in str(told.value.fix)


def test_a_page_is_only_where_there_is_a_server() -> None:
    assert page_of("http://h:1/", "2", "ab") == "http://h:1/#/experiments/2/runs/ab"
    assert page_of("sqlite:///x.db", "2", "ab") == "sqlite:///x.db, experiment 2, run ab"
