"""The build: a trained run and its dataset in, item vectors, an index and a published bundle out."""

from typing import TYPE_CHECKING

from data_prep.lazy_names import lazy_names

if TYPE_CHECKING:
    from index.build.__main__ import build
    from index.build.config import BuildConfig
    from index.build.encoding import encode_catalogue
    from index.build.inputs import check_inputs
    from index.build.report import BuildReport, BuildResult, Origin
    from index.build.write import Contents, name_version, write_contents

__all__ = [
    "BuildConfig",
    "BuildReport",
    "BuildResult",
    "Contents",
    "Origin",
    "build",
    "check_inputs",
    "encode_catalogue",
    "name_version",
    "write_contents",
]

__getattr__ = lazy_names(
    __name__,
    {
        "BuildConfig": "index.build.config",
        "BuildReport": "index.build.report",
        "BuildResult": "index.build.report",
        "Contents": "index.build.write",
        "Origin": "index.build.report",
        "build": "index.build.__main__",
        "check_inputs": "index.build.inputs",
        "encode_catalogue": "index.build.encoding",
        "name_version": "index.build.write",
        "write_contents": "index.build.write",
    },
)
