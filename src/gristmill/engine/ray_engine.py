"""The engine of Ray clusters."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gristmill.core.errors import StepError, UsageError
from gristmill.core.processes.place import thread_limits
from gristmill.engine.failures import check_count, name_of, not_sendable
from gristmill.engine.mapping import Mapping
from gristmill.engine.ordered_attempts import OrderedAttempts
from gristmill.engine.outcome import Outcome
from gristmill.engine.protocol import Actor
from gristmill.engine.ray_actor import RayActor
from gristmill.engine.ray_failures import cancelled, lost, not_importable
from gristmill.engine.ray_session import Session
from gristmill.engine.ray_tasks import Hosted, Work, run_item, versions_here
from gristmill.engine.remote_attempt import Shipment, unpacked
from gristmill.engine.versions import Versions, check_workers

T = TypeVar("T")
R = TypeVar("R")
_ITEMS_AHEAD = 2
_RETRIES = 2
_ROOM_SECONDS = 120.0
_START_SECONDS = 300.0


@dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Attributes:
        id: Ray's name for it.
        address: its host.
        cpus: processors that Ray may use.
        gpus: accelerators that Ray may use.
    """

    id: str
    address: str
    cpus: float
    gpus: float


class RayEngine(Mapping):
    """Runs work on a Ray cluster: items as tasks, actors as Ray's own, spread over its nodes.

    A worker or a node that dies takes no result with it: Ray tries its items again, twice at most.
    Each worker has one thread for numeric libraries a processor. Functions travel by cloudpickle,
    so that those of a notebook work, too.

    Args:
        address: see `Session`.
        workers: how many items are worked on at once; by default one a processor of the cluster.
        code: a folder of the user's modules that all nodes get a copy of and import from. Only for
            a connection that this engine opens.

    Raises:
        UsageError: the cluster cannot be joined, its nodes have another Python or another
            gristmill, or `workers` is less than 1.
    """

    name = "ray"

    def __init__(
        self, address: str | None = None, *, workers: int | None = None, code: Path | None = None
    ) -> None:
        if workers is not None:
            check_count(workers)
        self._session = Session(address, processors=workers, code=code)
        import ray

        self._jobs: list[_Job] = []
        self._groups: list[_Group] = []
        self._closed = False
        # One of each, since every other would be sent to the workers anew.
        self._run_item, self._hosted = ray.remote(run_item), ray.remote(Hosted)
        self.shares_files = self._session.on_this_machine
        try:
            self._check_versions()
            self.parallelism = workers or max(1, int(sum(node.cpus for node in self.nodes())))
        except BaseException:
            self._session.leave()
            raise

    def nodes(self) -> list[Node]:
        """Return the nodes that are alive, in a fixed order."""
        import ray

        found = [
            Node(
                id=each["NodeID"],
                address=each["NodeManagerAddress"],
                cpus=each["Resources"].get("CPU", 0.0),
                gpus=each["Resources"].get("GPU", 0.0),
            )
            for each in ray.nodes()
            if each["Alive"]
        ]
        return sorted(found, key=lambda node: node.id)

    def attempts(
        self, fn: Callable[[T], R], items: Iterable[T], /
    ) -> Generator[Outcome[R], None, None]:
        """See `Engine.attempts`. At most two items a worker are taken ahead of the outcomes."""
        import ray

        self._check_open()
        work = Work(uuid.uuid4().hex, [ray.put(Shipment.of(_sendable(fn)))])
        return self._attempts(name_of(fn), work, iter(items))

    def workers(
        self,
        n: int,
        factory: Callable[[int], object],
        /,
        *,
        cpus: float | None = None,
        gpus: float = 0,
    ) -> list[Actor]:
        """See `Engine.workers`.

        Args:
            n: how many.
            factory: makes the object of a rank, where it lives.
            cpus: processors that are kept for each until all are closed, and threads of its
                numeric libraries. By default none are kept: items of `map` run beside the actors,
                as they do on one machine, and the nodes that have processors take turns (one that
                joined a moment ago may be passed over: the others do not know it yet).
            gpus: accelerators that are kept for each. With `cpus` or `gpus` all actors start
                together or none, so that two jobs cannot wait for each other. They are spread over
                the nodes as far as these have room.

        Raises:
            UsageError: `n` is less than 1, or the factory cannot be sent.
            StepError: a factory raised (a `GristmillError` comes as itself), or the cluster has had
                no room for so many for two minutes.
        """
        check_count(n)
        self._check_open()
        shipment = Shipment.of(_sendable(factory))
        group = _Group(self._hosted, n, cpus, gpus, self.nodes())
        self._groups.append(group)
        try:
            for built in [actor.build(shipment, name_of(factory)) for actor in group.actors]:
                built.result()
        except BaseException:
            group.close()
            raise
        return list(group.actors)

    def close(self) -> None:
        """End all tasks and actors now, busy or not, and a cluster that was started for them."""
        if self._closed:
            return
        self._closed = True
        for job in self._jobs:
            job.cancel()
        for group in self._groups:
            group.close()
        self._jobs, self._groups = [], []
        self._session.leave()

    def _attempts(
        self, name: str, work: Work, items: Iterator[Any]
    ) -> Generator[Outcome[Any], None, None]:
        processors = sum(node.cpus for node in self.nodes())
        free = processors - sum(group.cpus for group in self._groups)
        # Tasks that wait in Ray's own queue are begun sooner than those that wait here; it runs as
        # many at once as there are processors, and of fewer items nothing may wait there.
        queued = self.parallelism >= free >= 1
        job = _Job(
            name,
            work,
            items,
            self._run_item.options(
                # Where all processors are kept for actors, items would wait for them for ever.
                num_cpus=1 if free >= 1 else 0,
                max_retries=_RETRIES,
                retry_exceptions=False,
                scheduling_strategy="SPREAD",
                runtime_env={"env_vars": thread_limits(1)},
                name=name,
            ),
            busy=self.parallelism * (_ITEMS_AHEAD if queued else 1),
            ahead=self.parallelism * _ITEMS_AHEAD,
        )
        self._jobs.append(job)
        try:
            yield from job.outcomes()
        finally:
            job.cancel()
            if job in self._jobs:
                self._jobs.remove(job)

    def _check_open(self) -> None:
        # Ray would start a cluster of its own for who asks it anything without a connection.
        if self._closed:
            raise UsageError("the engine is closed", fix="open another with open_engine")

    def _check_versions(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = self.nodes()
        ask = ray.remote(versions_here)
        asked = [
            ask.options(
                num_cpus=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
                runtime_env={"env_vars": thread_limits(1)},
            ).remote()
            for node in nodes
        ]
        _, silent = ray.wait(asked, num_returns=len(asked), timeout=_START_SECONDS)
        if silent:
            hosts = {
                node.address for node, each in zip(nodes, asked, strict=True) if each in silent
            }
            raise UsageError(
                f"no worker process has started on {', '.join(sorted(hosts))} for "
                f"{_START_SECONDS:.0f} seconds",
                where="engine ray",
                fix="`ray status` on the head tells whether the node is alive, `ray logs` why its "
                "workers are not; a node without memory or processors to spare takes long",
            )
        try:
            found: list[Versions] = ray.get(asked)
        except Exception as error:
            raise not_importable(error) from error
        check_workers(
            self.name,
            # A host may have several nodes, each with a Python of its own.
            {
                f"node {node.id[:8]} at {node.address}": each
                for node, each in zip(nodes, found, strict=True)
            },
            "install the same versions on all nodes",
        )


class _Job(OrderedAttempts):
    """Attempts under way: references to results."""

    def __init__(
        self, name: str, work: Work, items: Iterator[Any], task: Any, *, busy: int, ahead: int
    ) -> None:
        super().__init__(name, items, ahead)
        self.work, self.task, self.most_busy = work, task, busy
        self.cancelled = False
        self._waiting = threading.Lock()

    def cancel(self) -> None:
        """End the tasks; whoever waits for an outcome, in any thread, gets an error."""
        import ray

        if self.cancelled:
            return
        self.more, self.cancelled = False, True
        for reference in list(self.busy):
            ray.cancel(reference, force=True)
        with self._waiting:  # a connection must not end under who uses it
            return

    def _has_room(self) -> bool:
        return len(self.busy) < self.most_busy

    def _start(self, number: int, item: Any) -> None:
        from ray import cloudpickle

        try:
            message = bytes(cloudpickle.dumps(item))
        except Exception as error:  # the item's own pickling may raise anything
            said = f"the item cannot be sent to a worker process: {error}"
            self.done[number] = Outcome(error=StepError(said, where=self._place(number)))
            return
        reference = self.task.remote(self.work, message, self._place(number))
        self.busy[reference] = number

    def _collect(self) -> None:
        """Wait for a task; its result stays in Ray's object store until its turn."""
        import ray

        ready = list(self.busy)
        with self._waiting:
            if not self.cancelled:
                ready, _ = ray.wait(ready, num_returns=1, fetch_local=False)
        for reference in ready:
            self.done[self.busy.pop(reference)] = reference

    def _outcome(self, result: Any) -> Outcome[Any]:
        import ray

        if isinstance(result, Outcome):
            return result
        where = self._place(self.given)
        try:
            with self._waiting:
                if self.cancelled:
                    return Outcome(error=cancelled(where))
                message = ray.get(result)
        except Exception as error:
            return Outcome(error=lost(error, where, tries=1 + _RETRIES))
        return unpacked(message, where)


class _Group:
    """Actors that were started together, and what is kept for them on the nodes."""

    def __init__(
        self, hosted: Any, n: int, cpus: float | None, gpus: float, nodes: Sequence[Node]
    ) -> None:
        from ray.util.placement_group import placement_group

        self.cpus, self._open = n * (cpus or 0.0), n
        kept = {name: each for name, each in (("CPU", cpus), ("GPU", gpus)) if each}
        self._places = placement_group([kept] * n, strategy="SPREAD") if kept else None
        # A cluster that grows on demand may have none yet.
        homes = [node.id for node in nodes if node.cpus >= 1]
        self.actors: list[RayActor] = []
        for rank in range(n):
            where: dict[str, Any] = {"scheduling_strategy": "SPREAD"}
            if self._places is not None:
                where = _kept(self._places, rank) | {"num_cpus": cpus or 0, "num_gpus": gpus}
            elif homes:
                where = _at_home(homes[rank % len(homes)])
            handle = hosted.options(
                runtime_env={"env_vars": thread_limits(max(1, int(cpus or 1)))}, **where
            )
            self.actors.append(RayActor(handle.remote(), rank, self._ended))
        try:
            self._wait_for_room(kept)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the actors now."""
        for actor in self.actors:
            actor.close()

    def _wait_for_room(self, kept: dict[str, float]) -> None:
        import ray

        asked = [actor.ask_place() for actor in self.actors]
        _, waiting = ray.wait(asked, num_returns=len(asked), timeout=_ROOM_SECONDS)
        if waiting:
            raise StepError(
                f"the Ray cluster has had no room for {len(asked)} workers of "
                f"{_amounts(kept or {'CPU': 1})} for {_ROOM_SECONDS:.0f} seconds; "
                f"free at the moment: {_amounts(ray.available_resources())}",
                fix="use fewer workers, wait for other jobs to end, or add nodes (`ray status`)",
            )
        for actor, place in zip(self.actors, asked, strict=True):
            try:
                actor.node, actor.pid = ray.get(place)
            except Exception as error:
                raise lost(error, "starting workers") from None

    def _ended(self) -> None:
        """Give back what was kept, once the last actor is closed."""
        from ray.util.placement_group import remove_placement_group

        self._open -= 1
        if self._open == 0 and self._places is not None:
            self.cpus = 0.0
            remove_placement_group(self._places)


def _kept(places: Any, rank: int) -> dict[str, Any]:
    """Return the options of an actor that lives in what is kept for its rank."""
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    strategy = PlacementGroupSchedulingStrategy(places, placement_group_bundle_index=rank)
    return {"scheduling_strategy": strategy}


def _at_home(node: str) -> dict[str, Any]:
    """Return the options of an actor that needs nothing kept, on a node while that is alive.

    "SPREAD" would go by what nodes last said that they have free, which may be old.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=True), "num_cpus": 0}


def _amounts(resources: dict[str, float]) -> str:
    return ", ".join(f"{resources.get(name, 0.0):g} {name}" for name in ("CPU", "GPU"))


def _sendable(fn: Callable[..., Any]) -> bytes:
    """Pickle a callable for workers, by value where they could not import it.

    Raises:
        UsageError: it cannot be pickled.
    """
    from ray import cloudpickle

    try:
        return bytes(cloudpickle.dumps(fn))
    except Exception as error:
        raise not_sendable(fn, str(error)) from error
