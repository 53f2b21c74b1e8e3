"""The study smoke on a real SLURM node gives the numbers of the local run, byte for byte.

It takes minutes, so it runs where MEDRL_SLURM=required asks for it, as continuous integration does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import slurm_node
from conftest import ROOT

REQUIRED = os.environ.get("MEDRL_SLURM") == "required"
pytestmark = pytest.mark.skipif(
    not REQUIRED, reason="runs the study smoke on SLURM: MEDRL_SLURM=required"
)
# No accounting here: sacct knows nothing. The node is ours, so it may be asked often.
OPTIONS = ["--", "--profile", "profiles/slurm", "--slurm-status-command", "squeue"]
OPTIONS += ["--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5"]
SMALL = """
title: Small
label: what each run asks for
runs:
  07_vqa: {n_items: 10}
resources:
  07_vqa: {mem_mb: 3000, minutes: 7, cores: 2, gpus: 2}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A clone, and the environment in which its commands meet a SLURM node."""
    assert not slurm_node.missing(), slurm_node.missing()
    folder = tmp_path_factory.mktemp("slurm")
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    with slurm_node.node() as environment:
        yield clone, environment | {"PYTHONPATH": str(clone)}


def medrl(clone, environment, *words):
    command = [sys.executable, "-m", "medrl.commands.main", *words]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def jobs(environment, fields):
    """Return what squeue says of each job that the node has seen, its fields as one line."""
    words = ["squeue", "--all", "--states=all", "--noheader", f"--Format={fields}"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def test_smoke_on_slurm_is_smoke_here_byte_for_byte(cluster):
    clone, environment = cluster
    medrl(ROOT, os.environ, "study", "smoke")
    medrl(clone, environment, "study", "smoke", *OPTIONS)
    finished = jobs(environment, "Comment:80,State")
    notebooks = sorted(path.name for path in (ROOT / "runs/smoke").glob("0?_*") if path.is_dir())
    assert len(notebooks) == 9
    for name in notebooks:
        assert f"rule_run_wildcards_{name} COMPLETED" in finished
        there, local = (place / "runs/smoke" / name for place in (clone, ROOT))
        sources = [
            json.loads((one / "manifest.json").read_text())["sources"] for one in (there, local)
        ]
        assert sources[0] == sources[1], f"runs/smoke/{name} is of other code: make it again"
        assert (there / "results.json").read_bytes() == (local / "results.json").read_bytes(), name


def test_a_sweep_asks_slurm_for_what_the_study_names(cluster):
    clone, environment = cluster
    (clone / "notebooks/studies/small.yaml").write_text(SMALL)
    medrl(
        clone, environment, "sweep", "07_vqa", "--study", "small", "-p", "n_items=10,20", *OPTIONS
    )
    seen = jobs(environment, "State,NumCPUs,MinMemory,TimeLimit,tres-per-job")
    assert seen.count("COMPLETED 2 3000M 7:00 gres:gpu:2") == 2, seen
    assert len(list((clone / "runs/small").glob("07_vqa*/results.json"))) == 2
