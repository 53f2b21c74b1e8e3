# What a study runs, in which order, and what may run side by side.
# medrl study smoke; medrl book --study micro
#
# Which runs are there and valid is decided before, from their contents: medrl/studies/execution.py leaves
# a file for each (`made`). Snakemake makes the others, in order. No run folder is an output here:
# Snakemake would remove it, or copy it to and fro, where a job fails.

import re
import shlex
import sys

from medrl.studies import plan, sweep
from medrl.studies.execution import BOOK_SOURCES, command_line, made

medrl = f"{shlex.quote(sys.executable)} -m medrl.commands.main"
study = plan.load_study(config.get("study", "micro"))
edition = config.get("edition", "student")
runs = plan.planned(study)
if "grid" in config:
    runs |= sweep.planned(study, sweep.read(config["grid"]))


def done(name):
    return local(made(study, name))  # never in a storage: the folder beside it is not either


def resources_of(name):
    return study.resources.get(runs[name][0], plan.Resources())


wildcard_constraints:
    name="|".join(map(re.escape, runs)),


localrules:
    all,
    book,


rule all:
    input:
        [done(notebook) for notebook in study.runs],


rule run:
    input:
        lambda w: [done(name) for name in plan.dependencies(runs[w.name][1])],
    output:
        touch(done("{name}")),
    params:
        words=lambda w: command_line(study, *runs[w.name]).removeprefix("medrl "),
    threads: lambda w: resources_of(w.name).cores
    resources:
        mem_mb=lambda w: resources_of(w.name).mem_mb,
        runtime=lambda w: resources_of(w.name).minutes,
        gpu=lambda w: resources_of(w.name).gpus or None,
    shell:
        f"{medrl} {{params.words}} --only"


rule book:
    input:
        rules.all.input,
    output:
        BOOK_SOURCES,
    params:
        words=shlex.join(["book", "--study", study.path, "--edition", edition, "--only"]),
    shell:
        f"{medrl} {{params.words}}"
