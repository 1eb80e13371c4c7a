"""Bearer tokens: who may ask at all (RFC 6750)."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from gristmill.core.errors import UsageError
from gristmill.serve.refusal import Refusal
from gristmill.serve.server.request import Request

_SHORTEST = 16
_MAKE = "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"


class Tokens:
    """The tokens that are good. None at all means that everyone may ask.

    Only digests are kept, so that comparing takes the same time whatever is wrong with a token, and
    a dump of the process does not hold them.

    Args:
        tokens: each of at least 16 characters.

    Raises:
        UsageError: one is shorter, or not ASCII without spaces.
    """

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        found = list(tokens)
        for token in found:
            if len(token) < _SHORTEST or not token.isascii() or set(token) & set(" \t"):
                raise UsageError(
                    f"expected tokens of at least {_SHORTEST} ASCII characters without spaces",
                    fix=_MAKE,
                )
        self._digests = frozenset(sha256(token.encode()).digest() for token in found)

    @classmethod
    def read(cls, file: Path | str) -> Tokens:
        """Read a file with a token a line; empty lines and those that begin with # are left out.

        Raises:
            UsageError: the file cannot be read, holds none, or one that is no token.
        """
        try:
            lines = Path(file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the tokens cannot be read: {error}", where=str(file)) from error
        tokens = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not tokens:
            raise UsageError("expected a token a line, found none", where=str(file), fix=_MAKE)
        try:
            return cls(tokens)
        except UsageError as error:
            raise UsageError(error.message, where=str(file), fix=error.fix) from error

    def __bool__(self) -> bool:
        return bool(self._digests)

    def check(self, request: Request) -> None:
        """Let a request through that carries a good token, or any if there are no tokens.

        Raises:
            Refusal: 401.
        """
        if not self._digests:
            return
        said = request.headers.get(b"authorization", b"")
        scheme, _, token = said.partition(b" ")
        if scheme.lower() == b"bearer" and sha256(token.strip()).digest() in self._digests:
            return
        raise Refusal(
            401,
            "unauthorized",
            "expected a known bearer token" if said else "expected a bearer token, found none",
            fix="send the header Authorization: Bearer TOKEN",
            headers=[("WWW-Authenticate", 'Bearer realm="gristmill"')],
        )
