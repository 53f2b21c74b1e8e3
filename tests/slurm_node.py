"""A SLURM cluster of one node on loopback: munged, slurmctld and slurmd in a private folder.

Needs Debian's slurm-wlm and munge, and root. It keeps no accounts and binds nothing but loopback's
ports. `MEDRL_SLURM=required pytest tests/studies/test_slurm.py` runs a study on it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue")
GPUS = 2
CONFIGURATION = """
ClusterName=medrl
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=1,sched_interval=2
MailProg=/bin/true
MinJobAge=300
ReturnToService=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Return what keeps this machine from being a SLURM node; "" if nothing does."""
    if absent := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"{', '.join(absent)} not installed (Debian: apt install slurm-wlm munge)"
    return "" if os.geteuid() == 0 else "a private SLURM node needs root"


@contextmanager
def node() -> Iterator[dict[str, str]]:
    """Start the node, give the environment in which its commands are used, and stop it at the end.

    Raises: RuntimeError with the last lines of the logs if the node does not come up.
    """
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # not pytest's: munge wants a way in for all
    folder.chmod(0o755)
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    controller, worker = _free_port(), _free_port()
    host = socket.gethostname().split(".")[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            host=host, controller=controller, node=worker, folder=folder, cpus=os.cpu_count(),
            memory=memory * 9 // 10, gpus=GPUS,
        )
    )  # fmt: skip
    # Empty files that stand for GPUs: enough to see what is asked for.
    for index in range(GPUS):
        (folder / f"gpu{index}").touch()
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-{GPUS - 1}]\n")
    # The executor drops SLURM's variables in a job, so that srun would look for /etc/slurm.
    srun = folder / "bin/srun"
    srun.write_text(f'#!/bin/sh\nexec env SLURM_CONF={configuration} {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    environment = os.environ | {
        "SLURM_CONF": str(configuration),
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    places = {"socket": "socket", "pid-file": "pid", "seed-file": "seed", "log-file": "log"}
    munge = [f"--{option}={folder}/munge.{ending}" for option, ending in places.items()]
    with ExitStack() as stack:
        for command in (
            ["munged", "--foreground", f"--key-file={key}", *munge],
            ["slurmctld", "-D", "-i"],
            ["slurmd", "-D", "-N", host],
        ):
            log = stack.enter_context((folder / f"{command[0]}.out").open("w"))
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        _wait(environment, folder)
        yield environment
    shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _wait(environment: dict[str, str], folder: Path) -> None:
    """Wait until the node runs a command."""
    while not (folder / "munge.socket").exists():
        if "Error" in (folder / "munged.out").read_text():
            break
        time.sleep(0.1)
    else:
        for _ in range(30):
            words = ["srun", "--immediate=5", "true"]
            if subprocess.run(words, env=environment, capture_output=True).returncode == 0:
                return
            time.sleep(1)
    logs = [line for path in folder.glob("*.out") for line in path.read_text().splitlines()[-3:]]
    raise RuntimeError("the SLURM node did not start: " + " | ".join(logs))
