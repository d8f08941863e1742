"""Certificates made by openssl, as an operator would make them."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import processes

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command here")


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path


def authority(folder: Path, name: str) -> Pair:
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    _openssl("req", "-x509", *_fresh_key(pair.key), "-out", pair.certificate, "-days", "2", "-subj", f"/CN={name}")
    return pair


def signed(folder: Path, name: str, by: Pair, host: str) -> Pair:
    pair, request = Pair(folder / f"{name}.pem", folder / f"{name}.key"), folder / f"{name}.csr"
    _openssl("req", "-new", *_fresh_key(pair.key), "-out", request, "-subj", f"/CN={name}")
    extensions = folder / f"{name}.ext"
    extensions.write_text(f"subjectAltName={host}\n")
    signing = ("-CA", by.certificate, "-CAkey", by.key, "-CAcreateserial", "-days", "2", "-extfile", extensions)
    _openssl("x509", "-req", "-in", request, "-out", pair.certificate, *signing)
    return pair


def _fresh_key(path: Path) -> tuple[str | Path, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path)


def _openssl(*arguments: str | Path) -> None:
    processes.run(["openssl", *arguments], check=True)
