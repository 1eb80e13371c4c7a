"""The library of C kernels: compiled once, kept, and done without where it cannot be had."""

import logging
import shutil

import pytest

from gristmill.incremental.kernels.native import library as module
from gristmill.incremental.kernels.native.library import library

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """A small source, a cache of its own, and nothing loaded."""
    monkeypatch.setattr(module, "_sources", lambda: {"one.c": "int one(void) { return 1; }\n"})
    monkeypatch.setenv("GRISTMILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GRISTMILL_NATIVE", raising=False)
    monkeypatch.delenv("CC", raising=False)
    library.cache_clear()
    yield
    library.cache_clear()


@pytest.fixture
def never_compiles(monkeypatch):
    def compile_(*_):
        raise AssertionError("compiled")

    return lambda: monkeypatch.setattr(module, "_compile", compile_)


def kept(tmp_path):
    return [path.name for path in (tmp_path / "cache" / "kernels").iterdir()]


def test_compiled_once_and_kept(tmp_path, never_compiles):
    assert library().one() == 1
    (name,) = kept(tmp_path)
    assert name.endswith(".so")
    library.cache_clear()
    never_compiles()
    assert library().one() == 1


def test_other_sources_and_compilers_are_other_libraries(tmp_path, monkeypatch):
    library()
    library.cache_clear()
    monkeypatch.setattr(module, "_sources", lambda: {"one.c": "int one(void) { return 2; }\n"})
    assert library().one() == 2
    library.cache_clear()
    monkeypatch.setenv("CC", "cc -DSPARE=1")
    assert library().one() == 2
    assert len(kept(tmp_path)) == 3


def test_a_compiler_that_fails_is_told_of_once(tmp_path, monkeypatch, caplog):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no such luck >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    with caplog.at_level(logging.WARNING):
        assert library() is None
        assert library() is None
    assert [record.message for record in caplog.records] == [
        "C kernels cannot be used here, slower ones are: no such luck\n"
    ]
    assert kept(tmp_path) == []


def test_without_a_compiler_nothing_is_warned_of(monkeypatch, caplog):
    monkeypatch.setenv("CC", "no-such-compiler")
    with caplog.at_level(logging.WARNING):
        assert library() is None
    assert caplog.records == []


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path, never_compiles):
    library()
    library.cache_clear()
    (tmp_path / "cache" / "kernels").chmod(0o777)
    assert library().one() == 1
    library.cache_clear()
    never_compiles()
    with pytest.raises(AssertionError, match="compiled"):
        library()


@pytest.mark.parametrize("word", ["off", "OFF", "0", "no", "false"])
def test_switched_off(monkeypatch, never_compiles, word):
    monkeypatch.setenv("GRISTMILL_NATIVE", word)
    never_compiles()
    assert library() is None
