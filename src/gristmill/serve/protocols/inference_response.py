"""Answers of the Open Inference Protocol, version 2: JSON, and binary tensors if asked for.

What gRPC shares with it: which outputs are wanted, an output as a tensor, what is said beside.
Sources: as of `inference_request`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import orjson

from gristmill.serve.protocols.inference_tensors import check_understood
from gristmill.serve.protocols.metadata import outputs_of
from gristmill.serve.protocols.raw import bytes_of, stacked
from gristmill.serve.protocols.tensors import DATATYPE, wrong_tensor
from gristmill.serve.runners.rows import Column, Ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gristmill.serve.online.endpoint import Answered
    from gristmill.serve.protocols.inference_tensors import InferRequest
    from gristmill.serve.protocols.served import Served

_LENGTH = 4
Values: TypeAlias = "list[Any] | NDArray[Any]"


class OutputTensor(NamedTuple):
    """An output as the protocol sends it.

    Attributes:
        name: of the output.
        datatype: the protocol's name of its element type.
        shape: rows first.
        values: strings, or an array [shape] that is contiguous.
    """

    name: str
    datatype: str
    shape: list[int]
    values: Values

    @classmethod
    def of(cls, name: str, column: Column) -> OutputTensor:
        """Return a column of answers.

        Raises:
            Refusal: 406, its rows differ in length: they are no one tensor.
        """
        if isinstance(column, list):
            return cls(name, "BYTES", [len(column)], column)
        if isinstance(column, Ragged):
            array = stacked(column, name)
        else:
            array = np.ascontiguousarray(column)
        return cls(name, DATATYPE[array.dtype], list(array.shape), array)

    def to_bytes(self) -> bytes:
        """Return its values: numbers little-endian, strings each behind its length."""
        values = self.values
        return b"".join(_string_parts(values)) if isinstance(values, list) else bytes_of(values)


def wanted_outputs(served: Served, request: InferRequest) -> list[tuple[str, bool]]:
    """Return the name of each output to send, and whether its tensor is sent as bytes.

    Raises:
        Refusal: 400, there is no such output, or it is asked for by an extension that there is not.
    """
    known = [name for name, _, _ in outputs_of(served)]
    all_binary = request.parameters.get("binary_data_output") is True
    if not request.outputs:
        return [(name, all_binary) for name in known]
    for output in request.outputs:
        if output.name not in known:
            raise wrong_tensor(f"expected outputs {', '.join(known)}, found {output.name[:99]!r}")
        check_understood(output)
    return [
        (output.name, output.parameters.get("binary_data", all_binary) is True)
        for output in request.outputs
    ]


def write_response(
    served: Served, request: InferRequest, answered: Answered, wanted: list[tuple[str, bool]]
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the length of its JSON if tensors follow as bytes.

    Raises:
        Refusal: 406, rows of an output differ in length: they are no one tensor.
    """
    outputs, blobs = [], list[bytes]()
    for name, binary in wanted:
        tensor = OutputTensor.of(name, answered.rows.columns[name])
        said: dict[str, object] = {
            "name": name,
            "datatype": tensor.datatype,
            "shape": tensor.shape,
        }
        if binary:
            blobs.append(tensor.to_bytes())
            said["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            values = tensor.values
            said["data"] = values if isinstance(values, list) else values.reshape(-1)
        outputs.append(said)
    response: dict[str, object] = {"id": request.id} if request.id else {}
    response |= {"model_name": served.name, "model_version": answered.model, "outputs": outputs}
    parameters = parameters_of(answered)
    if parameters:
        response["parameters"] = parameters
    text = orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY)
    if not any(binary for _, binary in wanted):
        return text, None
    return b"".join((text, *blobs)), len(text)


def parameters_of(answered: Answered) -> dict[str, object]:
    """Return what is said beside the tensors: the name for feedback, what is not the model's own.

    The name is that of the request: row 3 is the prediction `NAME-3`.
    """
    said: dict[str, object] = {}
    if answered.prediction:
        said["prediction"] = answered.prediction
    if answered.degraded:
        said["degraded"] = True
    if answered.agreement is not None:
        said["agreement"] = orjson.dumps(answered.agreement.tolist()).decode()
    return said


def _string_parts(values: list[str]) -> Iterator[bytes]:
    for value in values:
        data = value.encode()
        yield len(data).to_bytes(_LENGTH, "little")
        yield data
