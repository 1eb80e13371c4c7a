"""The certificate that a server shows."""

from __future__ import annotations

import ssl

from gristmill.core.errors import UsageError


def check_certificate(certificate: str, key: str) -> None:
    """Make sure that a certificate and its private key can be used, as the server will use them.

    Args:
        certificate: file in PEM, with its chain.
        key: file in PEM, without a password.

    Raises:
        UsageError: not readable, or they do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except UsageError as error:
        raise UsageError(error.message, where=key, fix=error.fix) from error
    except OSError as error:  # an SSLError is one, too
        raise UsageError(
            f"the certificate and its key cannot be used: {error}",
            where=f"{certificate}, {key}",
            fix="name a PEM file with the certificate, and one with its key without a password",
        ) from error


def _no_password() -> str:
    raise UsageError("the key has a password", fix="write one without: openssl pkey -in K -out K2")
