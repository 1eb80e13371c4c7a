import pytest

from gristmill.core.errors import StoreError
from gristmill.serve.journal.secret_keys import KEY_BYTES, secret_key


def test_it_is_made_once_and_for_its_owner_alone(tmp_path):
    path = tmp_path / "deep" / "key"
    key = secret_key(path, fix="")
    assert len(key) == KEY_BYTES
    assert secret_key(path, fix="") == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret_key(tmp_path / "other", fix="") != key


def test_a_file_that_holds_something_else(tmp_path):
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(StoreError) as caught:
        secret_key(tmp_path / "key", fix="remove it")
    assert caught.value.message == "expected a key of 16 bytes, found 5"
    assert caught.value.fix == "remove it"


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="the key cannot be read or made: "):
        secret_key(tmp_path / "file" / "key", fix="")
