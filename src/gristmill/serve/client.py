"""A small client on the standard library, for examples, tests and scripts."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeAlias, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import (
    BaseHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
)

import msgspec

from gristmill.core.errors import ServeError, UsageError
from gristmill.serve.refusal import Refusal
from gristmill.serve.runners.records import RecordError

T = TypeVar("T")
Json: TypeAlias = dict[str, Any]
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Prediction(msgspec.Struct, frozen=True):
    """One answer: its id (see `gristmill lineage`), class name, probability, all probabilities."""

    id: str
    label: str
    prob: float
    probs: dict[str, float]


class _Predictions(msgspec.Struct):
    predictions: list[Prediction]


class _Told(msgspec.Struct):
    counts: dict[str, int]


class _PlainError(msgspec.Struct):
    message: str
    code: str = "unknown"
    fix: str | None = None
    details: list[RecordError] = []


class _ErrorBody(msgspec.Struct):
    error: _PlainError | str


class Client:
    """Talks to one server.

    Args:
        url: what the server printed when it started, such as `http://127.0.0.1:8000`.
        timeout: seconds to wait for an answer.
        token: a bearer token, where the server wants one.
        trust: a file of certificates (PEM) to trust beside those that this machine trusts.

    Raises:
        UsageError: the URL is not one of HTTP, or the certificates cannot be read.
    """

    def __init__(
        self,
        url: str,
        timeout: float = 30.0,
        *,
        token: str | None = None,
        trust: Path | str | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"expected a URL such as http://127.0.0.1:8000, found {url!r}")
        self.url, self.timeout = url.rstrip("/"), timeout
        self._opener = _opener(direct=parts.hostname in _LOOPBACK, trust=trust)
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def predict(
        self, instances: Sequence[Mapping[str, object]], model: str | None = None
    ) -> list[Prediction]:
        """Return one prediction of a classifier per record, in order.

        Args:
            instances: records by field name.
            model: its name, where the server has several; by default the first one.

        Raises:
            Refusal: the server said no; carries its status, text and the records that are wrong.
            ServeError: no server, or no answer in time.
        """
        body = msgspec.json.encode({"instances": list(instances)})
        path = "/v1/predict" if model is None else f"/v1/models/{quote(model, safe='')}/predict"
        return _decoded(self.request("POST", path, body), _Predictions).predictions

    def infer_v2(self, model: str, inputs: Sequence[Mapping[str, object]]) -> Json:
        """Send tensors in the Open Inference Protocol v2 and return the response as it is.

        Args:
            model: the model's name.
            inputs: tensors with keys name, shape, datatype and data.

        Raises:
            Refusal, ServeError: as `predict`.
        """
        body = msgspec.json.encode({"inputs": list(inputs)})
        path = f"/v2/models/{quote(model, safe='')}/infer"
        return _decoded(self.request("POST", path, body), Json)

    def tell(
        self,
        model: str,
        truths: Mapping[str, str | float | bool],
        *,
        who: str = "",
        correction: bool = False,
    ) -> dict[str, int]:
        """Say what was true of predictions that the server keeps; return how many were what.

        Args:
            model: its name.
            truths: class names or values, by the id of the prediction or the caller's own.
            who: says so.
            correction: whether a person looked at the predictions to say so.

        Raises:
            Refusal, ServeError: as `predict`.
        """
        pieces = [{"prediction_id": name, "label": truth} for name, truth in truths.items()]
        said = {"feedback": pieces, "who": who, "correction": correction}
        path = f"/v1/models/{quote(model, safe='')}/feedback"
        answer = self.request("POST", path, msgspec.json.encode(said))
        return _decoded(answer, _Told).counts

    def metadata(self, model: str) -> Json:
        """Return the names, types and shapes of a model's inputs and outputs.

        Raises:
            Refusal, ServeError: as `predict`.
        """
        return _decoded(self.request("GET", f"/v2/models/{quote(model, safe='')}"), Json)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        """Send any request and return the body of the answer.

        Raises:
            Refusal, ServeError: as `predict`.
        """
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = content_type
        request = Request(self.url + path, data=body, headers=headers, method=method)  # noqa: S310
        where = f"{method} {self.url}{path}"
        try:
            with self._opener.open(request, timeout=self.timeout) as response:
                answer: bytes = response.read()
                return answer
        except HTTPError as error:
            with error:
                raise _refusal(error, where) from None
        except (URLError, TimeoutError, HTTPException, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise ServeError(
                f"no answer: {reason}", where=where, fix="see whether the server runs"
            ) from error


def _opener(direct: bool, trust: Path | str | None) -> OpenerDirector:
    """Return what opens URLs; a proxy of the environment is no way to this machine itself."""
    context = ssl.create_default_context()
    if trust is not None:
        try:
            context.load_verify_locations(trust)
        except OSError as error:
            raise UsageError(f"not certificates: {error}", where=str(trust)) from error
    handlers: list[BaseHandler] = [HTTPSHandler(context=context)]
    return build_opener(*handlers, *([ProxyHandler({})] if direct else []))


def _refusal(error: HTTPError, where: str) -> Refusal:
    headers = [(name, value) for name, value in error.headers.items() if name == "Retry-After"]
    said = _said(error.read(), str(error.reason))
    return Refusal(
        error.code,
        said.code,
        f"HTTP {error.code}: {said.message}",
        fix=said.fix,
        details=said.details,
        headers=headers,
        where=where,
    )


def _said(body: bytes, reason: str) -> _PlainError:
    """Return the server's error; a proxy in between may have sent something else."""
    try:
        error = msgspec.json.decode(body, type=_ErrorBody).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _PlainError(reason)
    return _PlainError(error) if isinstance(error, str) else error


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServeError(f"the answer is not what a Gristmill server sends: {error}") from error
