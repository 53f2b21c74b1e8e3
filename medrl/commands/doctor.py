"""Check machine and clone: each finding is ok, or a problem with its remedy.

Run: medrl doctor.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

GB = 1e9
NEEDED_MEMORY_GB = 4  # design, section 7: peak memory of any stage of the study micro
NEEDED_DISK_GB = 5


@dataclass(frozen=True)
class Finding:
    """One checked thing; `remedy` says what to do where it is not ok."""

    ok: bool
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"ok       {self.what}" if self.ok else f"problem  {self.what}: {self.remedy}"


def findings() -> list[Finding]:
    """Return all findings, in the order in which they are printed."""
    return [
        _python(),
        *_versions(),
        _threads(),
        _accelerator(),
        _memory(),
        _disk(),
        _kernel(),
        _offline(),
        _medmnist(),
        _clone(),
        _git(),
    ]


def _python() -> Finding:
    version = sys.version_info
    what = f"Python {version.major}.{version.minor}.{version.micro}"
    return Finding((3, 11) <= version < (3, 14), what, "make book PYTHON=python3.12")


def _versions() -> list[Finding]:
    """Compare what is installed with constraints.txt; one finding if all is as pinned."""
    path = Path("constraints.txt")
    if not path.is_file():
        return [Finding(False, f"no {path} here", "run medrl in the top folder of the clone")]
    pins = [line.split("==") for line in path.read_text().splitlines() if "==" in line]
    odd = []
    for name, pinned in pins:
        try:
            found = importlib.metadata.version(name).partition("+")[0]  # 2.1.0+cpu is 2.1.0
        except importlib.metadata.PackageNotFoundError:
            continue  # a package of another platform
        if found != pinned:
            odd.append(Finding(False, f"{name} {found}, pinned {pinned}", "rm -r .venv; make book"))
    torch = importlib.metadata.version("torch")
    return odd or [Finding(True, f"versions as pinned in {path}, torch {torch} among them")]


def _threads() -> Finding:
    import torch

    return Finding(True, f"torch uses {torch.get_num_threads()} of {os.cpu_count()} cores")


def _accelerator() -> Finding:
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Finding(True, f"accelerators: {', '.join(names) or 'none, the study paper needs one'}")


def _memory() -> Finding:
    import psutil

    free = psutil.virtual_memory().available / GB
    what = f"{free:.1f} GB of memory free"
    return Finding(free >= NEEDED_MEMORY_GB, what, f"free {NEEDED_MEMORY_GB} GB for study micro")


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / GB
    return Finding(
        free >= NEEDED_DISK_GB, f"{free:.0f} GB of disk free", f"free {NEEDED_DISK_GB} GB"
    )


def _kernel() -> Finding:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    remedy = "python -m ipykernel install --sys-prefix, with the Python of .venv"
    try:
        folder = KernelSpecManager().get_kernel_spec("python3").resource_dir
    except NoSuchKernel:
        return Finding(False, "no Jupyter kernel python3", remedy)
    own = Path(folder).is_relative_to(sys.prefix)
    return Finding(own, f"Jupyter kernel python3 in {folder}", remedy)


def _offline() -> Finding:
    on = os.environ.get("HF_HUB_OFFLINE", "0").lower() in {"1", "true", "yes", "on"}
    return Finding(True, f"model hub switched {'off' if on else 'on'} (HF_HUB_OFFLINE)")


def _medmnist() -> Finding:
    from medrl_core.data import medmnist

    folder = medmnist.folder()
    found = [name for name in medmnist.datasets() if medmnist.path_of(name).is_file()]
    if os.environ.get("MEDMNIST_ROOT") and not found:
        return Finding(False, f"no MedMNIST file in {folder}", "set MEDMNIST_ROOT to their folder")
    return Finding(True, f"MedMNIST files in {folder}: {', '.join(found) or 'none'}")


def _clone() -> Finding:
    from medrl.studies import plan

    names = sorted(path.stem for path in plan.STUDIES.glob("*.yaml"))
    return Finding(
        bool(names), f"studies: {', '.join(names)}", "run medrl in the top folder of the clone"
    )


def _git() -> Finding:
    from medrl.studies import manifest
    commit, dirty = manifest.git_state()
    if commit is None:
        return Finding(False, "no commit here", "clone with git, so that results name their commit")
    return Finding(True, f"commit {commit[:12]}{', with uncommitted changes' if dirty else ''}")
