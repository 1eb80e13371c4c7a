"""What object stores and the ways to them say, in our words."""

from __future__ import annotations

import re
from typing import NamedTuple

from gristmill.core.errors import DataError

_DENIED = ("PermissionError", "PermissionDeniedError", "UnauthenticatedError")
_ABSENT = ("FileNotFoundError", "NotFoundError", "NoSuchBucket")
_EXPIRED = ("ExpiredToken", "TokenRefreshRequired", "RequestExpired", "InvalidToken")
_MACHINE_ROLES = ("169.254.169.254", "169.254.170.2", "metadata.google.internal")
"""Where a machine of a cloud asks for credentials of its own, when it has no others."""
_ATTEMPT = re.compile(
    r"Error performing [A-Z]+ (?P<url>\S+) in (?P<time>[\d.]+\w+)"
    r"(?:, after (?P<again>\d+) retries)?[^\n]*? - (?P<said>[^\n]*)"
)
_CAUSES = (
    r'message: "([^"]+)"',  # obstore's, in the form that Rust prints for programmers
    r'error: "([^"]+)"',
    r"\n\s+\d+: ([^\n]+)\s*\Z",  # Polars'
)


class _Settings(NamedTuple):
    """Where users set what a kind of store needs.

    Attributes:
        credentials: variables that hold them.
        source: where their values come from.
        address: what says where the store is.
        region: what says in which region.
    """

    credentials: str
    source: str
    address: str
    region: str


_AMAZON = _Settings(
    "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN",
    "`aws configure export-credentials --format env` prints those of a profile",
    "the URL, and AWS_ENDPOINT_URL where one is set",
    "AWS_REGION",
)
_GOOGLE = _Settings(
    "GOOGLE_APPLICATION_CREDENTIALS",
    "it is the path of a file with a service account's key",
    "the URL",
    "the URL",
)
_OTHERS = _Settings("the variables of its package", "see its manual", "the URL", "the URL")
_BY_SCHEME = {"s3": _AMAZON, "s3a": _AMAZON, "gs": _GOOGLE}


def store_error(url: str, error: BaseException) -> DataError:
    """Return the error for what an object store, or the way to it, refused."""
    said = str(error) or type(error).__name__
    settings = _BY_SCHEME.get(url.partition("://")[0], _OTHERS)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if any(host in said for host in _MACHINE_ROLES):
        return DataError(
            "there are no credentials for this store",
            where=url,
            fix=f"set {settings.credentials} here and on all workers ({settings.source})",
        )
    if code := next((code for code in _EXPIRED if code in said), None):
        return DataError(
            f"the credentials have expired ({code})",
            where=url,
            fix=f"set new ones ({settings.credentials}), here and on all workers, and run again",
        )
    # The number stands behind the address, which may hold any number itself.
    status = re.search(r"status(?: code)?:? (\d{3})( [A-Z][A-Za-z ]+)?", said)
    if kinds & set(_DENIED) or (status and status[1] in ("401", "403")):
        return DataError(
            "access is denied",
            where=url,
            fix=f"check the credentials in the environment ({settings.credentials}) "
            "and the rights of their owner",
        )
    if kinds & set(_ABSENT) or (status and status[1] == "404"):
        return DataError(
            "there is no such file or bucket",
            where=url,
            fix=f"check {settings.address}",
        )
    if (status and status[1] in ("301", "400")) or "redirect" in said:
        told = status[1] + (status[2] or "") if status else "a redirect"
        return DataError(
            f"the store refuses the request: {told}",
            where=url,
            fix="this is what credentials that have expired are told, and who names another "
            f"region than the bucket's: renew them, check {settings.region}",
        )
    if unlike := re.search(r"Generic \w+ error: (?!Error performing)(.*)", said):
        return DataError(
            f"what answers does not speak as such a store does: {unlike[1]}",
            where=url,
            fix=f"check {settings.address}: does another server listen there?",
        )
    return DataError(
        f"the store does not answer: {_reason(said, status)}",
        where=url,
        fix=f"check {settings.address}, and that the store runs and can be reached from here; "
        "run again once it does",
    )


def is_store_error(error: BaseException) -> bool:
    """Tell whether Polars could not get at the data, rather than not make sense of them."""
    return "object-store error" in str(error)


def _reason(said: str, status: re.Match[str] | None) -> str:
    """Return why no answer came, from where, and after how long."""
    attempt = _ATTEMPT.search(said)
    causes = (re.search(pattern, said) for pattern in _CAUSES)
    cause = status and status[1] + (status[2] or "")
    cause = cause or next((found[1] for found in causes if found), None)
    if cause is None and "source: TimedOut" in said:
        cause = "timed out"
    if attempt is None:
        return cause or said.splitlines()[0]
    tries = int(attempt["again"] or 0) + 1
    times = "" if tries == 1 else f", {tries} times in {_seconds(attempt['time'])}"
    return f"{cause or attempt['said'].strip()}{times} ({attempt['url']})"


def _seconds(time: str) -> str:
    """Shorten what Rust prints of a duration: 1.87317835s is 1.9 s."""
    found = re.fullmatch(r"([\d.]+)(\D+)", time)
    return f"{float(found[1]):.3g} {found[2]}" if found else time
