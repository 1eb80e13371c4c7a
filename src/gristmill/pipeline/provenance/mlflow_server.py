"""An MLflow server as users name it: is the address one, and what is wrong when it fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from gristmill.core.errors import GristmillError, UsageError, chain_of

_SERVERS = frozenset({"http", "https"})
_HOSTED = frozenset({"databricks", "databricks-uc", "uc"})
_OTHERS = _HOSTED | {"file", "sqlite", "postgresql", "mysql", "mssql"}
"""What MLflow's client opens besides: its hosted service, and files and databases of its own."""
_STATUS = re.compile(r"failed with error code (\d+) != 200\. Response body: '(.*)", re.DOTALL)
_LONGEST = 300
_EXAMPLE = "give one such as http://mlflow.example.org:5000, or a database: sqlite:///mlflow.db"
_CHECK = "check that it runs, and the address"
_WHO = (
    "say who you are: MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and "
    "MLFLOW_TRACKING_PASSWORD"
)
_AGAIN = "put that right and export again: what is there already stays, the rest is added"
_DATABRICKS = "say which one and who you are: DATABRICKS_HOST and DATABRICKS_TOKEN"
_TLS = (
    "is it http:// instead of https://? A certificate of your own is trusted by "
    "MLFLOW_TRACKING_SERVER_CERT_PATH"
)


def check_address(uri: str) -> None:
    """Check that a text is an address at which there may be an MLflow server.

    MLflow itself takes any text for a folder, and an empty one for a database where it is called.

    Raises:
        UsageError: it is none.
    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise UsageError(f"{uri!r} is no address: {error}", fix=_EXAMPLE) from error
    scheme = parts.scheme.partition("+")[0]
    if scheme in _SERVERS:
        good = bool(parts.hostname)
    else:
        good = uri in _HOSTED or (scheme in _OTHERS and uri.startswith(f"{parts.scheme}:/"))
    if not good:
        raise UsageError(f"expected the address of an MLflow server, found {uri!r}", fix=_EXAMPLE)


def page_of(uri: str, experiment: str, run: str) -> str:
    """Return where a run is to be looked at."""
    if urlsplit(uri).scheme in _SERVERS:
        return f"{uri.rstrip('/')}/#/experiments/{experiment}/runs/{run}"
    return f"{uri}, experiment {experiment}, run {run}"


@contextmanager
def translated(uri: str) -> Iterator[None]:
    """Turn failures of MLflow's client into errors that say what to do.

    Raises:
        GristmillError: the server cannot be reached, is none, or refuses.
    """
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError) as error:
        said, fix = _words(error, urlsplit(uri).scheme or uri)
        raise GristmillError(said, where=uri, fix=fix) from error


def no_server(uri: str, why: str) -> GristmillError:
    """Return the error for what answers, but not as an MLflow server does."""
    return GristmillError(
        f"this is no MLflow server: {why}",
        where=uri,
        fix="give the address under which its pages open, without anything that is added for them",
    )


def _words(error: BaseException, scheme: str) -> tuple[str, str]:
    """Return what is wrong and what to do."""
    from mlflow.exceptions import RestException
    from requests import exceptions

    chain = list(chain_of(error))
    text = first_line(error)
    status = _STATUS.search(str(error))
    if isinstance(error, RestException):
        fix = _WHO if error.error_code in ("PERMISSION_DENIED", "UNAUTHENTICATED") else _AGAIN
        return f"the MLflow server refuses: {text}", fix
    if status:
        return _of_status(int(status[1]), status[2].splitlines()[0].removesuffix("'"))
    if "not in a valid JSON format" in text:
        shown = no_server("", "what it answers is no JSON")
        return shown.message, str(shown.fix)
    if any(isinstance(each, exceptions.SSLError) for each in chain):
        return f"no secure connection to the MLflow server: {_innermost(chain)}", _TLS
    if any(isinstance(each, exceptions.Timeout | TimeoutError) for each in chain):
        return "the MLflow server does not answer", f"{_CHECK}; is there a proxy in between?"
    if any(isinstance(each, exceptions.RetryError) for each in chain):
        return "the MLflow server answers with errors only", "look in its log, and try again"
    if any(isinstance(each, exceptions.ConnectionError) for each in chain):
        return f"the MLflow server cannot be reached: {_innermost(chain)}", _CHECK
    if scheme.startswith("databricks"):
        return f"Databricks cannot be used: {text}", _DATABRICKS
    if scheme not in _SERVERS:
        return f"MLflow cannot use this: {text}", "check the address, and that it can be written"
    return f"the MLflow server cannot be used: {text}", f"{_CHECK}; {_WHO}"


def _of_status(code: int, body: str) -> tuple[str, str]:
    told = f"it answers {code}: {body[:_LONGEST]}"
    if code in (401, 403):
        return f"the MLflow server does not let you in: {told}", _WHO
    if code in (404, 405, 501):
        shown = no_server("", told)
        return shown.message, str(shown.fix)
    return f"the MLflow server cannot be used: {told}", "look in its log, and try again"


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception says."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:_LONGEST]


def _innermost(chain: list[BaseException]) -> str:
    """Return what the machine said, without what each layer has put around it."""
    said = [each.strerror for each in chain if isinstance(each, OSError) and each.strerror]
    return said[-1] if said else first_line(chain[-1])
