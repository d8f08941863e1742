"""The generated code that is checked in is what the proto generates."""

import sys
from pathlib import Path

import google.rpc
import pytest

ROOT = Path(__file__).parents[2]
PROTOS = [f"retrieval_server/retrieval/v1/{name}.proto" for name in ("admin", "retrieval")]


def test_generated_code_is_up_to_date(tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc", reason="grpcio-tools comes with the extra `dev`")
    folder = Path(sys.executable).parent  # where mypy-protobuf's two plugins are, whatever PATH says
    arguments = [
        "protoc",
        f"-I{ROOT}",
        f"-I{Path(protoc.__file__).parent / '_proto'}",
        f"-I{Path(google.rpc.__path__[0]).parents[1]}",
        f"--plugin=protoc-gen-mypy={folder / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={folder / 'protoc-gen-mypy_grpc'}",
        *(f"--{kind}_out={tmp_path}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")),
        *PROTOS,
    ]
    assert protoc.main(arguments) == 0
    generated = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*_pb2*"))
    assert len(generated) == 8
    for path in generated:
        assert (tmp_path / path).read_text() == (ROOT / path).read_text(), f"{path}: run `make proto`"
