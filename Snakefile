# What a study runs, in which order, and what may run side by side.
# medrl study smoke; medrl book --study micro
#
# Which runs are there and valid is decided before, from their contents: medrl_core/study.py leaves
# a file for each (`made`). Snakemake makes the others, in order. No run folder is an output here:
# Snakemake would remove it, or copy it to and fro, where a job fails.

import re
import shlex
import sys

from medrl_core import plan, sweep
from medrl_core.study import BOOK_SOURCES, command_line, made

medrl = f"{shlex.quote(sys.executable)} -m medrl_core.cli"
study = plan.load_study(config.get("study", "micro"))
edition = config.get("edition", "student")
runs = plan.planned(study)
if "grid" in config:
    runs |= sweep.planned(study, sweep.read(config["grid"]))


def resources_of(name):
    return study.resources.get(runs[name][0], plan.Resources())


wildcard_constraints:
    name="|".join(map(re.escape, runs)),


localrules:
    all,
    book,


rule all:
    input:
        [made(study, notebook) for notebook in study.runs],


rule run:
    input:
        lambda w: [made(study, name) for name in plan.dependencies(runs[w.name][1])],
    output:
        touch(made(study, "{name}")),
    params:
        words=lambda w: command_line(study, *runs[w.name]).removeprefix("medrl "),
    threads: 1
    resources:
        mem_mb=lambda w: resources_of(w.name).mem_mb,
        runtime=lambda w: resources_of(w.name).minutes,
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
