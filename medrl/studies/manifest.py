"""Where a result came from: the manifest of a run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from medrl_core.errors import UserError
from medrl_core.files import sha256, write_text
from medrl_core.refusal import first

# The files of a run whose SHA-256 its manifest keeps: all that the book shows. Weights are named
# by their own hash.
KEPT = ("results.json", "executed.ipynb", "rollouts.parquet", "figures/*")

NAME = "manifest.json"  # the last file that is written into a run folder
# Device files of NVIDIA's driver, of the same in WSL, and of AMD's.
ACCELERATORS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


class Manifest(BaseModel):
    """What `manifest.json` of a run folder holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    study: str
    label: str
    notebook: str
    command: str
    parameters: dict[str, Any]
    seeds: list[int]
    commit: str | None
    dirty: bool | None
    sources: dict[str, str]
    data_hashes: dict[str, str]
    model_hashes: dict[str, str]
    packages: dict[str, str]
    hardware: dict[str, Any]
    started: str
    wall_seconds: float
    peak_memory_mb: int
    cpu_seconds: float = 0.0  # of the kernel and what it starts; 0: made before this was kept
    files: dict[str, str] = {}  # runs made before this was kept have none


class Failure(BaseModel):
    """What `failure.json` of a failed run holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    error: str
    command: str
    started: str
    wall_seconds: float


def write(manifest: Manifest, folder: Path) -> None:
    """Write a manifest as manifest.json into a run folder, with the hashes of the files there."""
    found = sorted(file for pattern in KEPT for file in folder.glob(pattern))
    files = {file.relative_to(folder).as_posix(): sha256(file) for file in found}
    manifest = manifest.model_copy(update={"files": files})
    write_text(folder / NAME, manifest.model_dump_json(indent=2) + "\n")


def read(folder: Path) -> Manifest:
    """Read the manifest of a run folder; a UserError says which one is missing or broken."""
    path = folder / NAME
    if not path.is_file():
        raise UserError(f"{folder} is no finished run: {path.name} is missing; run it again")
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(f"{path}: {first(error)}; run it again") from None


def verify(folder: Path) -> Manifest:
    """Read the manifest of a run folder, and compare its files with the hashes that it holds.

    Raises: UserError as `read`, or one that names the file that is not as it was written.
    """
    manifest = read(folder)
    for name, digest in manifest.files.items():
        file = folder / name
        # A record leaves some files out; those that are there have to be as they were written.
        if file.is_file() and sha256(file) != digest:
            raise UserError(
                f"{file} is not as its run wrote it (its hash is in manifest.json); "
                f"delete {folder} and run it again"
            )
    return manifest


def read_failure(folder: Path) -> Failure | None:
    """Read why a run failed from where it is kept; None if nothing is kept there."""
    path = folder / "failure.json"
    try:
        return Failure.model_validate_json(path.read_bytes()) if path.is_file() else None
    except ValidationError as error:
        raise UserError(f"{path}: {first(error)}; delete its folder") from None


def git_state() -> tuple[str | None, bool | None]:
    """Return the commit and whether tracked files differ from it; (None, None) outside git.

    A copy without git that lies in another repository is outside: that commit is not its own.
    """
    try:
        if _git("rev-parse", "--show-prefix"):
            return None, None
        commit = _git("rev-parse", "HEAD")
        return commit, bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None, None


def packages() -> dict[str, str]:
    """Return the versions of Python and of all that medrl asks for and that is installed."""
    versions = {"python": platform.python_version()}
    for requirement in importlib.metadata.requires("medrl") or []:
        name = re.split(r"[^\w.-]", requirement)[0]
        if name == "medrl" or "extra == 'dev'" in requirement.replace('"', "'"):
            continue
        with suppress(importlib.metadata.PackageNotFoundError):  # of a layer that is not there
            versions[name] = importlib.metadata.version(name)
    return versions


def hardware() -> dict[str, Any]:
    """Return processor, cores, memory in GB and accelerators of this machine."""
    import psutil

    gpus = []
    if any(map(os.path.exists, ACCELERATORS)):  # torch takes seconds to import
        import torch

        gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", 0)) or os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": gpus,
    }


def version() -> str:
    """Return the version of the core."""
    return importlib.metadata.version("medrl")


def commit_date() -> str | None:
    """Return the day of the commit that is checked out; None outside git."""
    try:
        ours = not _git("rev-parse", "--show-prefix")
        return _git("show", "-s", "--format=%cs", "HEAD") if ours else None
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
