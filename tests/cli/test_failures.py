from __future__ import annotations

import errno

import pytest

from gristmill.cli.failures import as_gristmill_error


def caught(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as found:
        return found


@pytest.mark.parametrize(
    ("number", "text", "fix"),
    [
        (errno.ENOSPC, "No space left on device", "free some space"),
        (errno.EACCES, "Permission denied", "check who owns"),
        (errno.EROFS, "Read-only file system", "copy the project"),
        (errno.EMFILE, "Too many open files", "ulimit -n"),
    ],
)
def test_the_machine(number, text, fix):
    error = as_gristmill_error(caught(OSError(number, text, "/data/x.csv")))
    assert (error.message, error.where, error.exit_code) == (text, "/data/x.csv", 1)
    assert fix in (error.fix or "")


def test_an_os_error_of_another_kind_keeps_its_text():
    error = as_gristmill_error(caught(OSError("the cable is loose")))
    assert (error.message, error.where, error.fix) == ("the cable is loose", None, None)


def test_memory():
    error = as_gristmill_error(caught(MemoryError()))
    assert error.message == "out of memory"
    assert error.fix


@pytest.mark.parametrize(
    ("name", "install"),
    [
        ("torch", "'gristmill[train]'"),
        ("safetensors.numpy", "'gristmill[train]'"),
        ("uvicorn", "'gristmill[serve]'"),
        ("psycopg", "'gristmill[postgres]'"),
        ("elsewhere.inner", "elsewhere"),
    ],
)
def test_a_missing_package_names_what_to_install(name, install):
    error = as_gristmill_error(caught(ModuleNotFoundError(f"No module {name}", name=name)))
    assert error.exit_code == 2
    assert name.partition(".")[0] in error.message
    assert error.fix == f"pip install {install}"


def test_anything_else_names_the_place_and_asks_for_a_report():
    error = as_gristmill_error(caught(KeyError("x")))
    assert error.message == "unexpected KeyError: 'x'"
    assert (error.where or "").startswith("test_failures.py:")
    assert "--debug" in (error.fix or "")


def test_an_error_that_was_never_raised_has_no_place():
    assert as_gristmill_error(ValueError("x")).where is None
