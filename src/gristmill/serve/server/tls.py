"""The certificate that a server shows."""

from __future__ import annotations

import ssl
from contextlib import suppress

from gristmill.core.errors import UsageError

_SOON_DAYS = 14
_DAY = 86_400.0
_FLIGHTS = 8
"""Turns of a handshake, at most."""


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


def certificate_trouble(certificate: str, key: str, now: float) -> str:
    """Return what clients will find wrong with a certificate now or soon; "" where nothing is.

    A client that trusts the certificate itself shakes hands with it, in memory: who signed it and
    for which names it is are for the clients of the server to judge.

    Args:
        certificate, key: as `check_certificate` takes them.
        now: seconds since 1970, for what is soon; what is wrong now is told by the system's clock.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key, password=_no_password)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(certificate)
    try:
        ends = _end_of(server, client)
    except ssl.SSLCertVerificationError as error:
        return f"clients will refuse it: {error.verify_message}"
    except ssl.SSLError as error:
        return f"clients may refuse it: {error.reason or error}"
    left = (ends - now) / _DAY
    return f"it ends in {max(left, 0.0):.1f} days" if left < _SOON_DAYS else ""


def _end_of(server: ssl.SSLContext, client: ssl.SSLContext) -> float:
    """Return until when the server's certificate is good, in seconds since 1970.

    Raises:
        ssl.SSLError: they cannot shake hands.
    """
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True))
    for _ in range(_FLIGHTS):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    shown = ends[0].getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(shown["notAfter"])))


def _no_password() -> str:
    raise UsageError("the key has a password", fix="write one without: openssl pkey -in K -out K2")
