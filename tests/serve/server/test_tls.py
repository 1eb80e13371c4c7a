import subprocess
import time

import pytest

from gristmill.core.errors import UsageError
from gristmill.serve.server.settings import Settings
from gristmill.serve.server.tls import certificate_trouble, check_certificate


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


def signed(folder, *words):
    """Make a certificate that signs itself, and its key."""
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    fixed = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    made = ["openssl", "req", *fixed, "-subj", "/CN=here", "-keyout", key, "-out", cert, *words]
    subprocess.run(made, check=True, capture_output=True)
    return cert, key


def test_a_certificate_that_ends_soon_is_told(certificate, tmp_path):
    now = time.time()
    pair = tuple(map(str, certificate))  # of two days
    assert certificate_trouble(*pair, now - 30 * 86_400) == ""
    assert certificate_trouble(*pair, now - 10 * 86_400).startswith("it ends in 1")
    assert certificate_trouble(*pair, now + 10 * 86_400) == "it ends in 0.0 days"
    assert certificate_trouble(*signed(tmp_path, "-days", "90"), now) == ""


def test_a_certificate_that_clients_refuse_is_told(certificate, tmp_path):
    cert, key = signed(tmp_path)
    ended = str(tmp_path / "ended.pem"), key
    words = ["openssl", "x509", "-in", cert, "-signkey", key, "-days", "-1", "-out", ended[0]]
    subprocess.run(words, check=True, capture_output=True)
    assert certificate_trouble(*ended, 0.0) == "clients will refuse it: certificate has expired"
    check_certificate(*ended)  # and can be served all the same
    other = signed(tmp_path, "-addext", "extendedKeyUsage=clientAuth")
    assert certificate_trouble(*other, 0.0).startswith("clients will refuse it: ")


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
