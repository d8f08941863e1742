"""Virtual environments of the peers, whose pins conflict with ours."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.quality.measure import run
from benchmarks.quality.plan import EnvironmentPlan
from data_prep.files import fingerprint, read_json, write_json

MARK = "installed.json"


def environment_fingerprint(plan: EnvironmentPlan) -> str:
    """Fingerprint of the installed packages."""
    return fingerprint(json.dumps(asdict(plan), sort_keys=True))


def python_of(name: str, plan: EnvironmentPlan, folder: Path) -> Path:
    """The python of an environment, made if it is not there or was made otherwise.

    Args:
        name: of the environment.
        plan: the packages to install.
        folder: where environments live.

    Raises:
        GateFailed: pip failed.
    """
    target, mark = folder / name, environment_fingerprint(plan)
    python = target / "bin" / "python"
    if (target / MARK).is_file() and read_json(target / MARK)["plan"] == mark:
        return python
    shutil.rmtree(target, ignore_errors=True)
    print(f"making environment {name}", flush=True)
    log = folder / f"{name}.log"
    run([sys.executable, "-m", "venv", str(target)], log, 1)
    install = [str(python), "-m", "pip", "install", "--quiet"]
    run([*install, *plan.requirements], log, 1, None)
    if plan.without_dependencies:
        run([*install, "--no-deps", *plan.without_dependencies], log, 1, None)
    write_json(target / MARK, {"plan": mark, "versions": versions(python, plan.told)})
    return python


def packages_of(python: Path) -> Path:
    """The folder of an environment's packages."""
    return next((python.parent.parent / "lib").glob("python3*/site-packages"))


def versions(python: Path, packages: list[str]) -> dict[str, str]:
    """Versions of packages in an environment."""
    code = "import importlib.metadata as m, json, sys; print(json.dumps({p: m.version(p) for p in sys.argv[1:]}))"
    done = subprocess.run([python, "-c", code, *packages], check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found
