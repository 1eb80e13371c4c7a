import subprocess

import pytest

from gristmill.core.errors import UsageError
from gristmill.serve.server.settings import Settings
from gristmill.serve.server.tls import check_certificate


def test_a_pair_that_fits(certificate):
    check_certificate(*map(str, certificate))


def test_files_that_do_not(certificate, tmp_path):
    cert, key = map(str, certificate)
    for pair in ((cert, cert), (key, key), (cert, str(tmp_path / "none"))):
        with pytest.raises(UsageError) as caught:
            check_certificate(*pair)
        assert caught.value.message.startswith("the certificate and its key cannot be used: ")


def test_a_key_with_a_password(certificate, tmp_path):
    cert, key = map(str, certificate)
    words = ["openssl", "pkey", "-aes128", "-passout", "pass:abcd", "-in", key]
    locked = tmp_path / "locked.pem"
    subprocess.run([*words, "-out", str(locked)], check=True)
    with pytest.raises(UsageError) as caught:
        check_certificate(cert, str(locked))
    assert (caught.value.where, caught.value.message) == (str(locked), "the key has a password")


def test_one_without_the_other():
    with pytest.raises(UsageError) as caught:
        Settings(tls_certificate="cert.pem")
    assert caught.value.message == (
        "a certificate and its key go together: --tls-cert and --tls-key"
    )


@pytest.mark.parametrize("name", ["replicas", "cache", "drain_seconds"])
def test_numbers_below_zero(name):
    with pytest.raises(UsageError) as caught:
        Settings(**{name: -1})
    assert caught.value.message == f"{name} must not be below 0, found -1"
