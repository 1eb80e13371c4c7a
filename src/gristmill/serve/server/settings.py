"""How a server is set up: all that `serve` may be told, as a value that can be sent as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from gristmill.core.errors import UsageError
from gristmill.serve.protocol import Limits
from gristmill.serve.watch.keeping import Keeping


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a server is told.

    Attributes:
        host: where to listen; the default is reachable from this machine only.
        port: 0 takes a free one.
        grpc_port: where gRPC is taken beside HTTP; 0 takes a free one, None takes none.
        limits: when to refuse requests.
        schema: what to do about a value outside its field's limits: reject, warn or off.
        replicas: processes that run each model; 0 runs it in the server's own.
        threads: threads of one operator of a model.
        cache: bytes for answers of each model; 0 keeps none.
        streams: bytes for what is kept of streams of pictures, of each model that takes pictures;
            0 takes no streams.
        watch: whether what is served is compared with what a model was trained on, where its
            bundle says that.
        watch_folder: where the statistics of what was served are kept; empty: in memory.
        keep: how much of the predictions is kept there, for what turns out to be true of them;
            None keeps none.
        tokens: a file of bearer tokens; empty: everyone may ask.
        tls_certificate, tls_key: files in PEM; empty: plain HTTP.
        log_level: debug, info (a line per request), warning, error; to stderr.
        log_format: text or json.
        drain_seconds: how long requests under way may take once it is told to stop.

    Raises:
        UsageError: a number below 0, one port for two things, or a certificate without a key.
    """

    host: str = "127.0.0.1"
    port: int = 0
    grpc_port: int | None = None
    limits: Limits = Limits()
    schema: Literal["reject", "warn", "off"] = "reject"
    replicas: int = 0
    threads: int = 1
    cache: int = 0
    streams: int = 0
    watch: bool = True
    watch_folder: str = ""
    keep: Keeping | None = None
    tokens: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    log_level: str = "warning"
    log_format: str = "text"
    drain_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name in ("replicas", "cache", "streams", "drain_seconds"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must not be below 0, found {getattr(self, name)}")
        if self.port and self.port == self.grpc_port:
            raise UsageError(f"HTTP and gRPC need ports of their own, found {self.port} for both")
        if self.threads < 1:
            raise UsageError(f"threads must be above 0, found {self.threads}")
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise UsageError("a certificate and its key go together: --tls-cert and --tls-key")

    @property
    def token_file(self) -> Path | None:
        """The file of tokens, if there is one."""
        return Path(self.tokens) if self.tokens else None
