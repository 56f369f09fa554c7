"""How a run came to be: command, versions, hardware. Kept as provenance.json."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "adde_ray", "ray", "torch", "numpy", "scipy", "scikit-learn", "faiss-cpu", "hdbscan", "polars", "pyarrow",
    "transformers", "diffusers", "umap-learn",
)  # fmt: skip


def describe() -> dict:
    """argv, commit of the code (null outside a checkout), versions of Python and packages, hardware."""
    return {
        "argv": sys.argv,
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    where = Path(__file__).parent
    try:
        out = subprocess.run(["git", "rev-parse", "HEAD"], cwd=where, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return out.stdout.strip() or None if out.returncode == 0 else None
