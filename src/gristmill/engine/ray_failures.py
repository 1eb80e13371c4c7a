"""What Ray says when a worker, a node or a cluster is lost, in our words."""

from __future__ import annotations

from gristmill.core.errors import StepError, UsageError, chain_of
from gristmill.engine.failures import WorkerDiedError


def lost(error: Exception, where: str, tries: int = 1) -> StepError:
    """Return the error for work whose result Ray could not bring back.

    Args:
        error: what `ray.get` raised.
        where: the item or the call.
        tries: how often Ray has tried where workers died.
    """
    from ray import exceptions as of_ray

    if isinstance(error, of_ray.TaskCancelledError):
        return cancelled(where)
    times = f", in each of {tries} tries" if tries > 1 else ""
    for kind, message, fix in (
        (
            of_ray.OutOfMemoryError,
            f"Ray ended the worker process because the memory of its node ran out{times}",
            "use smaller partitions, or fewer workers a node",
        ),
        (of_ray.NodeDiedError, "the node that it ran on was lost", None),
        (
            of_ray.WorkerCrashedError,
            f"the worker process died{times}",
            "if memory ran out, use smaller partitions; Ray's logs say more (ray logs)",
        ),
        (of_ray.RayActorError, _actor_death(str(error)), None),
        (
            of_ray.ObjectLostError,
            "the result was lost with the node that kept it",
            "run it again; a node that stays is needed to finish",
        ),
    ):
        if isinstance(error, kind):
            return WorkerDiedError(message, where=where, fix=fix)
    return StepError(f"Ray could not run it: {_first_line(error)}", where=where)


def cancelled(where: str) -> StepError:
    """Return the error for work that was ended with its engine."""
    return StepError("the work was cancelled: its engine was closed", where=where)


def not_connected(error: Exception, address: str) -> UsageError:
    """Return the error for a cluster that cannot be joined."""
    said = _chain(error)
    if "ersion mismatch" in said:
        return UsageError(
            f"the cluster {address} has other versions than this process: {_flat(str(error))}",
            fix="use the same Python and the same Ray here and on all nodes",
        )
    if "InvalidAuthToken" in said or "AuthenticationError" in said:
        return UsageError(
            f"the Ray cluster {address} asks for a token that this process did not show",
            fix="copy the head's ~/.ray/auth_token to this machine and set RAY_AUTH_MODE=token",
        )
    if "Method not found" in said:
        return UsageError(
            f"what answers at {address} is not the head of a Ray cluster",
            fix="ray:HOST:6379 is the head's own port, ray://HOST:10001 that of Ray Client",
        )
    return UsageError(
        f"cannot join the Ray cluster {address}: {_first_line(error)}",
        fix="check that it runs (`ray status` on its head), can be reached from here and, if it "
        "asks for a token, that RAY_AUTH_MODE=token is set; `ray` alone starts one here",
    )


def not_importable(error: Exception) -> UsageError:
    """Return the error for workers that cannot load this package."""
    return UsageError(
        f"the cluster's workers cannot load gristmill: {_last_line(error)}",
        fix="install gristmill[ray], the version that is here, into the Python of all nodes",
    )


def _actor_death(said: str) -> str:
    if "node" in said.lower() and ("node was terminated" in said or "node died" in said.lower()):
        return "the worker's node was lost"
    if "ray.kill" in said:
        return "the worker process was ended: its engine was closed"
    if "unavailable" in said:
        return "the worker process cannot be reached"
    return "the worker process died"


def _chain(error: BaseException | None) -> str:
    """Return what an error and all that led to it say."""
    return "\n".join(f"{type(each).__name__}: {each}" for each in chain_of(error))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _flat(said: str) -> str:
    return " ".join(said.split())
