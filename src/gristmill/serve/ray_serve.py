"""A bundle as an application of Ray Serve: our answers behind its proxy and its replicas.

Each replica runs the same ASGI application as `gristmill serve`, so that decoding, checking,
batching and answers are the same; ports, replicas and their number are Ray's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.core.errors import UsageError
from gristmill.serve.offline.bundle_place import SentBundle
from gristmill.serve.protocol import Limits
from gristmill.store.bundle import Bundle

if TYPE_CHECKING:
    from gristmill.serve.server.app import App
    from gristmill.serve.server.request import Receive, Scope
    from gristmill.serve.server.response import Send


def ray_serve_app(
    sources: Bundle | Path | str | Mapping[str, Bundle | Path | str],
    *,
    threads: int = 1,
    limits: Limits | None = None,
    **options: Any,
) -> Any:
    """Return what `ray.serve.run` deploys: one deployment that answers by bundles.

    The bundles' files go along with it, once a machine, where their folders are not seen there.

    Args:
        sources: a bundle or its folder, or several by the name that they are served under.
        threads: threads of one operator of a model.
        limits: when to refuse requests.
        options: of `ray.serve.deployment`, such as `num_replicas`, `ray_actor_options`.

    Raises:
        BundleError: a bundle is damaged.
        UsageError: Ray Serve is not installed.
    """
    try:
        from ray import serve
    except ImportError as error:
        raise UsageError(
            f"Ray Serve cannot be loaded: {error}", fix="pip install 'ray[serve]'"
        ) from error
    named = sources if isinstance(sources, Mapping) else {"": sources}
    opened = {
        name: source if isinstance(source, Bundle) else Bundle.open(source)
        for name, source in named.items()
    }
    sent = {
        name: SentBundle(bundle.folder.absolute(), bundle.fingerprint)
        for name, bundle in opened.items()
    }

    def build() -> MountedApp:
        """Make the application; called in each replica."""
        from gristmill.serve.server.lifecycle import app_from_bundle

        places = {name: bundle.folder for name, bundle in sent.items()}
        return MountedApp(app_from_bundle(places, threads=threads, limits=limits))

    name = next(iter(opened.values())).name
    deployment = serve.deployment(name=name, **options)
    return deployment(serve.ingress(build)()).bind()


class MountedApp:
    """An application under a prefix of the path, which it is not shown."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        prefix = scope.get("root_path", "")
        if prefix and scope.get("path", "").startswith(f"{prefix}/"):
            path = scope["path"].removeprefix(prefix)
            raw = scope.get("raw_path", b"").removeprefix(prefix.encode())
            scope = {**scope, "path": path, "raw_path": raw, "root_path": ""}
        await self._app(scope, receive, send)
