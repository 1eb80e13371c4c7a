"""What a job may use: devices, memory, a folder; and the planning that depends on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gristmill.core.errors import UsageError
from gristmill.core.fingerprint import fingerprint
from gristmill.core.memory import memory_limit
from gristmill.core.quantities import format_bytes, parse_bytes
from gristmill.engine.protocol import Engine
from gristmill.train.jobs.checking import check_budget, writable_folder
from gristmill.train.jobs.device_tier import device_tier
from gristmill.train.jobs.nodes import placed
from gristmill.train.jobs.planning import Planner, Prepared
from gristmill.train.jobs.run_listener import RunListener
from gristmill.train.jobs.training_run import TrainingRun
from gristmill.train.tasks.machine import Machine
from gristmill.train.tasks.molding import Molding
from gristmill.train.tasks.policies import Policy, policy_of
from gristmill.train.tasks.trial_shape import TrialShape
from gristmill.train.workers.machine import Device, find_devices

_SHARE_OF_MEMORY = 0.5
"""Of what the machine or container has, where no budget is given."""
_LEAST_TASK_SECONDS = 2e-3
"""Shorter tasks are not worth a pipeline: handing them over would count too much."""
_DISPATCH_SECONDS = 1e-3
"""What a task of a pipeline costs its device beside its arithmetic, about."""
_SLACK = 1.25
"""Room for records over their bytes: a pool with holes holds less."""


class Resources:
    """The devices, the memory and the folder of a job.

    Args:
        folder: where the state of the run is kept.
        devices: `auto`, a number, `cpu:2`; `cuda`, `cuda:0,1`.
        memory: budget of each device for weights, optimiser state, gradients and activations, as
            "2GB" or in bytes; None for half of what there is. With GPUs, what the host holds of
            weights and optimiser state for all of them; the disk holds the rest.
        policy: how ready tasks are ranked; see `policies`.
        commit_seconds: least time between two checkpoints of a trial.
        device_memory: budget of each GPU, or each device on an engine's nodes, as "16GB"; None for
            most of what it has.
        engine: where the devices are, if not on this machine: see `nodes.placed`. `memory` is then
            as with GPUs.

    Attributes:
        tier: the devices' own memory; None where they compute in the host's.
        memory: bytes of each device that models are planned for.

    Raises:
        UsageError: one of them makes no sense.
    """

    def __init__(
        self,
        folder: Path | str,
        devices: str | int = "auto",
        memory: str | int | None = None,
        policy: str | Policy = "critical_path",
        commit_seconds: float = 10.0,
        device_memory: str | int | None = None,
        engine: Engine | str | None = None,
    ) -> None:
        policy_of(policy)
        self.policy = policy  # by name: each run and each simulation makes its own
        if not commit_seconds >= 0:
            raise UsageError(f"commit_seconds must be 0 or more, found {commit_seconds}")
        self.folder = writable_folder(folder)
        nodes, devices = placed(engine, devices)
        self._nodes = nodes
        self.devices = _processes(devices) if nodes is None else nodes.devices
        apart = self.devices[0].kind != "cpu"
        host = _budget(memory, 1 if apart else len(self.devices))
        link = None if nodes is None else nodes.rates()
        self.tier = device_tier(self.devices, device_memory, host, link)
        self.memory = host if self.tier is None else self.tier.budget
        self.commit_seconds = commit_seconds
        pilot = self.folder / "pilot"
        count = len(self.devices)
        self.planner = Planner(self.memory, count, pilot, pilot / "layers", self.tier)

    @property
    def state(self) -> Path:
        """The folder of records and commits."""
        return self.folder / "state"

    def __str__(self) -> str:
        names = ", ".join(each.name for each in self.devices)
        count = len(self.devices)
        each = " each" if count > 1 else ""
        memory = f"{format_bytes(self.memory)}{each}" if self.tier is None else f"{self.tier}"
        return f"{count} device{'s' * (count > 1)} ({names}), {memory}"

    def pool_bytes(self, prepared: Sequence[Prepared]) -> int:
        """Return the bytes of memory for the records of trials that run at once.

        Args:
            prepared: the trials, or examples of them: as many as will run at once.
        """
        count = len(self.devices)
        if self.tier is not None:
            return self.tier.host_bytes(prepared, count)
        private = max(each.memory.private_bytes for each in prepared)
        least = max(each.memory.pool_bytes for each in prepared) * count
        wanted = int(_SLACK * sum(each.record_bytes for each in prepared))
        return max(least, min(wanted, (self.memory - private) * count))

    def reshaper(self, prepared: Sequence[Prepared]) -> Molding:
        """Spread trials over idle devices where they stay in memory and tasks are worth it.

        Args:
            prepared: the trials, or examples of them: as many as will run at once.
        """
        count = len(self.devices)
        room = self.memory - int(_SLACK * sum(each.record_bytes for each in prepared)) // count

        def fits(shape: TrialShape) -> bool:
            if shape.spilled or not _worth(shape) or not self._carries(shape):
                return False
            in_flight = shape.in_flight or shape.micro_batches
            if in_flight <= count:  # a device then holds what one alone would hold
                return True
            kept = sum(each.activation_bytes for each in shape.stages) * in_flight // count
            return kept + shape.weight_bytes <= room  # gradients take as much as weights at most

        return Molding(fits=fits, dispatch_seconds=_DISPATCH_SECONDS)

    def _carries(self, shape: TrialShape) -> bool:
        """Say whether what a step of a spread trial changes comes back while it computes.

        On one machine nothing moves; nodes send back all weights and optimiser state each step.
        """
        if self._nodes is None or self.tier is None:
            return True
        changed = sum(each.weight_bytes + each.state_bytes for each in shape.stages)
        return changed / self.tier.down <= shape.step_seconds

    def machine(self, prepared: Sequence[Prepared]) -> Machine:
        """Return the devices as the simulator knows them; for `prepared` see `pool_bytes`."""
        rates, tier = self.planner.rates, self.tier
        if tier is not None:
            rates = tier.rates(rates, sum(each.record_bytes for each in prepared))
        return Machine(
            speeds=(1.0,) * len(self.devices),
            dispatch_seconds=_DISPATCH_SECONDS,
            hop_seconds=rates.hop_seconds,
            hop_bytes_per_second=rates.hop_bytes_per_second,
            memory_bytes=self.pool_bytes(prepared) if tier is None else tier.room(prepared),
            read_bytes_per_second=rates.read_bytes_per_second,
            write_bytes_per_second=rates.write_bytes_per_second,
            shared=tier is None,
            duplex=tier is not None,
        )

    def given(self, prepared: Sequence[Prepared]) -> Sequence[Device]:
        """Return the devices, with the memory of their own that records get."""
        return self.devices if self.tier is None else self.tier.given(self.devices, prepared)

    def answering(self, prepared: Sequence[Prepared]) -> Sequence[Device]:
        """Return the devices that trained models answer on; for `prepared` see `pool_bytes`."""
        return self.given(prepared) if self._nodes is None else find_devices("cpu:1")

    def start(
        self, prepared: Sequence[Prepared], listener: RunListener | None = None
    ) -> TrainingRun:
        """Start the workers, and take the folder up; for `prepared` see `pool_bytes`."""
        if self._nodes is not None:
            self._nodes.open()
        return TrainingRun(
            self.state,
            devices=self.given(prepared),
            memory=self.pool_bytes(prepared),
            policy=self.policy,
            commit_seconds=self.commit_seconds,
            reshaper=self.reshaper(prepared),
            listener=listener,
            nodes=self._nodes,
        )


def own_folder(of: object) -> Path:
    """Return the folder of a run that was given none: one for each thing that is trained."""
    return Path(".gristmill") / "train" / fingerprint(of)[:12]


def _worth(shape: TrialShape) -> bool:
    """Say whether the tasks of a pipeline would be long beside the time to hand them over."""
    tasks = 2 * shape.micro_batches * len(shape.stages)
    return shape.step_seconds / tasks >= _LEAST_TASK_SECONDS


def _processes(devices: str | int) -> tuple[Device, ...]:
    """Return the devices that are asked for: processes of cores, or, by their name, of GPUs."""
    if devices == "auto":
        return find_devices("cpu")
    whole = isinstance(devices, int) and not isinstance(devices, bool)
    return find_devices(f"cpu:{devices}" if whole else devices)


def _budget(memory: str | int | None, devices: int) -> int:
    if memory is None:
        return int(memory_limit() * _SHARE_OF_MEMORY / devices)
    check_budget(memory)
    return parse_bytes(memory)
