"""Install the base layer in a fresh environment, and run there what it promises.

Run: make base, or python3 .ci/base_install.py [another Python]. Prints the time, and what the disk
holds more after the commands than before the install. Started by root, all of it runs as nobody.

The clone is copied without git, as a ZIP download has it, to a folder whose long name has spaces
and other than ASCII letters; a conda environment seems to be active. Each command either answers,
or names the layer that it needs in one line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "Ein Ordner mit Leerzeichen, Umlauten äöü, 日本語 und 'einem' sehr langen Namen " + "x" * 100
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".audit", "runs", "_build", "build", "__pycache__", "*.egg-info", ".*_cache",
    ".snakemake",
)  # fmt: skip
# As the README has it. Bytecode comes with use: made for all modules it takes 100 MB and 10 s more.
OPTIONS = ("--no-compile", "-c", "constraints.txt")
MOST_MB = 500
# What belongs to other layers; that the base runs without them is the point.
FOREIGN = ("torch", "transformers", "datasets", "jupyter_client", "nbformat", "snakemake")
ROLLOUTS = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from made_rollouts import rollouts
from medrl_core.sample.rollouts import RolloutStore

more = dict(model="made", seed=0, text="<answer>A</answer>", n_tokens=3, logprob=None)
for name, samples in (("a", "AABB"), ("b", "AAAB")):
    store = RolloutStore(Path(name))
    for item in ("first", "second", "third"):
        store.append(rollouts(item, "A", samples, **more))
    store.compact()
"""
# Words of `medrl`, and the text that is on standard output.
ANSWERS = [
    (["--help"], "Usage"),
    (["doctor"], "layer base is installed"),
    (["score", "a"], "Acc@1"),
    (["compare", "a", "b"], "A - B (points)"),
    (["diagnose", "a", "-k", "4"], "diagnosis.json"),
]
# Words of `medrl`, and the layer that its one line names.
LAYERS = [
    (["run", "02_support"], "study"),
    (["study", "smoke"], "study"),
    (["sweep", "02_support", "-p", "k=4,8"], "study"),
    (["labs", "--out", "labs"], "study"),
    (["book"], "book"),
    (["evaluate", "--model", "m", "--items", "i", "--out", "o"], "models"),
    (["probe", "--model", "pixels", "--data", "drawn:chest film"], "models"),
    (["data", "list"], "models"),
]


def main(python: str = sys.executable) -> None:
    """Install and try; the first thing that is not as it should be ends it with exit code 1."""
    with tempfile.TemporaryDirectory(prefix="base ") as given:
        place = Path(given, NAME)
        shutil.copytree(ROOT, place, ignore=LEFT_OUT, symlinks=True)
        user = _nobody(python, Path(given))
        environment = _environment(Path(given))

        def run(*command: str | Path, good: bool = True) -> subprocess.CompletedProcess[str]:
            done = subprocess.run(
                list(map(str, command)), cwd=place, env=environment, capture_output=True, text=True,
                stdin=subprocess.DEVNULL, **user,
            )  # fmt: skip
            if good and done.returncode:
                sys.exit(f"FAILED: {command}\n{done.stdout}{done.stderr}")
            return done

        ours = place / ".venv/bin/python"
        started = time.monotonic()
        run(python, "-m", "venv", ".venv")
        empty = _size(place / ".venv")
        run(ours, "-m", "pip", "install", "-q", *OPTIONS, ".")
        seconds = time.monotonic() - started
        version = run(ours, "-c", "import platform; print(platform.python_version())").stdout
        passed = _try(place, run)
        megabytes = _size(place / ".venv") - empty
        who = ", as nobody" if user else ""
        print(f"base layer: {seconds:.0f} s, {megabytes:.0f} MB, Python {version.strip()}{who}")
        if megabytes > MOST_MB:
            sys.exit(f"FAILED: more than {MOST_MB} MB")
        print(f"{passed} passed, 0 failed")


def _try(place: Path, run) -> int:
    """Run each command in the environment; return how many did as they should."""
    ours = place / ".venv/bin/python"
    found = f"import importlib.util as u; print([n for n in {FOREIGN} if u.find_spec(n)])"
    if (foreign := run(ours, "-c", found).stdout.strip()) != "[]":
        sys.exit(f"FAILED: the base layer has {foreign}")
    # An import of the copied folder would hide a file that the package lacks.
    run(ours, "-P", "-c", ROLLOUTS)
    passed = 0
    for words, said in ANSWERS:
        done = run(place / ".venv/bin/medrl", *words)
        if said not in done.stdout:
            sys.exit(f"FAILED: medrl {' '.join(words)} does not say {said!r}:\n{done.stdout}")
        passed += 1
    for words, layer in LAYERS:
        done = run(place / ".venv/bin/medrl", *words, good=False)
        line = f"pip install 'medrl[{layer}]'\n"
        if done.returncode != 2 or done.stderr.count("\n") != 1 or not done.stderr.endswith(line):
            sys.exit(f"FAILED: medrl {' '.join(words)} does not end with {line}{done.stderr}")
        passed += 1
    return passed


def _nobody(python: str, place: Path) -> dict:
    """Return how subprocess runs as nobody, who then owns the folder; {} if that cannot be.

    Arguments: `python` that nobody has to be allowed to start; `place` the temporary folder.
    """
    if os.name != "posix" or os.geteuid() != 0:
        return {}
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    place.chmod(0o755)
    try:
        subprocess.run([python, "-c", ""], check=True, cwd=place, capture_output=True, **user)
    except (OSError, LookupError, subprocess.CalledProcessError):
        print(f"nobody may not start {python}: tried as root")
        return {}
    for path in [place, *place.rglob("*")]:
        shutil.chown(path, "nobody", "nogroup")
    return user


def _environment(place: Path) -> dict[str, str]:
    """Return an environment as a shell in an active conda environment has it, HOME of its own."""
    other = place / "conda env"
    (other / "bin").mkdir(parents=True)
    for name in ("python", "python3", "pip"):
        (other / "bin" / name).write_text("#!/bin/sh\necho the wrong Python >&2\nexit 9\n")
        (other / "bin" / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    path = f"{other}/bin{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path, "CONDA_PREFIX": str(other), "HOME": str(place)}


def _size(folder: Path) -> float:
    """Return the megabytes that the files of a folder take on disk."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*")) / 1e6


if __name__ == "__main__":
    main(*sys.argv[1:])
