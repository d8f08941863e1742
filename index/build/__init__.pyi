from .__main__ import build as build
from .config import BuildConfig as BuildConfig
from .encoding import encode_catalogue as encode_catalogue
from .inputs import check_inputs as check_inputs
from .report import BuildReport as BuildReport, BuildResult as BuildResult, Origin as Origin
from .write import Contents as Contents, name_version as name_version, write_contents as write_contents
