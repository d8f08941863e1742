"""ONNX Runtime: a model written once as a graph runs for less than torch takes to walk through its modules."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # a tenth of a second to import: only where it is needed

FLOAT32, INT8 = "float32", "int8"
"""Precisions that a graph is written in."""

ERROR = 3
"""ONNX Runtime's severity from which on it logs."""


def write_graph(
    module: nn.Module, arguments: Mapping[str, Tensor], dynamic: Mapping[str, Sequence[int]], path: Path
) -> None:
    """Write a module's forward pass as an ONNX graph, weights inside.

    Args:
        module: takes a dictionary of tensors by the name `inputs`; in evaluation mode.
        arguments: an example of it; no dynamic dimension of them may be 0 or 1, which would be taken
            for its only size.
        dynamic: the dimensions of each argument that may have any size.
        path: where to.
    """
    shapes = {name: dict.fromkeys(dynamic.get(name, ()), torch.export.Dim.DYNAMIC) for name in arguments}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of operators and axis names that nobody here has written
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            program = torch.onnx.export(
                module,
                kwargs={"inputs": dict(arguments)},
                input_names=list(arguments),
                dynamic_shapes={"inputs": shapes},
                verbose=False,
            )
        finally:
            logging.disable(before)
    assert program is not None
    program.save(path, external_data=False)


def write_int8(source: Path, target: Path) -> None:
    """Write a graph again with its matrices in int8, one scale a column; activations are scaled as they come.

    Weights keep to seven bits: on processors without VNNI the sums of eight would overflow, and a bundle does not know
    where it will be served.

    Args:
        source: the graph in float32.
        target: where to.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it recommends a preparation that the exporter has done already
    try:
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Gemm"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
    finally:
        logging.disable(before)


def open_session(path: Path) -> "InferenceSession":
    """A graph ready to run, on as many threads as torch may use in the thread that opens it.

    One thread is the caller's own. What a run needs is given back after it, which costs 3 % and keeps a server that
    swaps bundles small.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = ERROR
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(session: "InferenceSession", arguments: Mapping[str, Tensor]) -> Tensor:
    """The graph's only output; of the arguments it gets those that it knows."""
    known = {each.name for each in session.get_inputs()}
    outputs: list[Any] = session.run(None, {name: value.numpy() for name, value in arguments.items() if name in known})
    return torch.from_numpy(outputs[0])
