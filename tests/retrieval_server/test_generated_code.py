"""The generated code that is checked in is what the proto generates."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROTO = "retrieval_server/retrieval/v1/retrieval.proto"


def test_generated_code_is_up_to_date(tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc", reason="grpcio-tools comes with the extra `dev`")
    folder = Path(sys.executable).parent  # where mypy-protobuf's two plugins are, whatever PATH says
    arguments = [
        "protoc",
        f"-I{ROOT}",
        f"--plugin=protoc-gen-mypy={folder / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={folder / 'protoc-gen-mypy_grpc'}",
        *(f"--{kind}_out={tmp_path}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")),
        PROTO,
    ]
    assert protoc.main(arguments) == 0
    generated = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*_pb2*"))
    assert len(generated) == 4
    for path in generated:
        assert (tmp_path / path).read_text() == (ROOT / path).read_text(), f"{path}: run `make proto`"
