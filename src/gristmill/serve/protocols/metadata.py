"""What the Open Inference Protocol tells of the server and its models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill._version import __version__
from gristmill.serve.protocols.tensors import datatype_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gristmill.serve.protocols.served import Served
    from gristmill.store.bundle import Field

EXTENSIONS = ("binary_tensor_data", "model_repository", "model_configuration")
_TYPES = {"BYTES": "TYPE_STRING"}


def server_metadata() -> dict[str, object]:
    """Return the body of `GET /v2`."""
    return {"name": "gristmill", "version": __version__, "extensions": list(EXTENSIONS)}


def model_metadata(served: Served) -> dict[str, object]:
    """Return the body of `GET /v2/models/{name}`; -1 stands for a size that requests choose."""
    return {
        "name": served.name,
        "versions": [served.version],
        "platform": "gristmill_bundle",
        "inputs": [
            {"name": field.name, "datatype": datatype_of(field), "shape": _shape(field)}
            for field in served.inputs
        ],
        "outputs": [
            {"name": name, "datatype": datatype, "shape": shape}
            for name, datatype, shape in outputs_of(served)
        ],
    }


def model_config(served: Served) -> dict[str, object]:
    """Return the body of `GET /v2/models/{name}/config`: what clients of Triton ask for."""
    return {
        "name": served.name,
        "platform": "gristmill_bundle",
        "backend": "gristmill",
        "max_batch_size": served.limits.max_instances,
        "input": [
            {
                "name": field.name,
                "data_type": _type(datatype_of(field)),
                "dims": _shape(field)[1:] or [1],
                "optional": not field.required,
            }
            for field in served.inputs
        ],
        "output": [
            {"name": name, "data_type": _type(datatype), "dims": shape[1:] or [1]}
            for name, datatype, shape in outputs_of(served)
        ],
    }


def repository_index(models: Iterable[Served], only_ready: bool) -> list[dict[str, str]]:
    """Return the body of `POST /v2/repository/index`."""
    return [
        {
            "name": served.name,
            "version": served.version,
            "state": "READY" if served.ready else "UNAVAILABLE",
            "reason": "" if served.ready else "the server is stopping",
        }
        for served in models
        if served.ready or not only_ready
    ]


def outputs_of(served: Served) -> list[tuple[str, str, list[int]]]:
    """Return name, datatype and shape of each output; a classifier's are `label` and `probs`."""
    if served.classes:
        return [("label", "BYTES", [-1]), ("probs", "FP64", [-1, len(served.classes)])]
    return [(field.name, datatype_of(field), _shape(field)) for field in served.outputs]


def _shape(field: Field) -> list[int]:
    return [-1, *(-1 if size is None else size for size in field.shape or ())]


def _type(datatype: str) -> str:
    return _TYPES.get(datatype, f"TYPE_{datatype}")
