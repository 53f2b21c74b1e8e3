# What a study runs, in which order, and what may run side by side.
# medrl study smoke; medrl book --study micro; snakemake --config study=micro --cores all
#
# A run is stale when its manifest names other contents than are here now: parameters, notebook,
# the core modules that it uses, data files, runs that it needs. A new time stamp is no new content.

import re
import shlex
import sys

from medrl_core import plan, sweep
from medrl_core.study import command_line, mark_stale, mark_stale_book

medrl = f"{shlex.quote(sys.executable)} -m medrl_core.cli"
study = plan.load_study(config.get("study", "micro"))
edition = config.get("edition", "student")
runs = plan.planned(study)
if "grid" in config:
    runs |= sweep.planned(study, sweep.read(config["grid"]))
stale = mark_stale(study, runs)


def folder(name):
    return f"runs/{study.name}/{name}"


def resources_of(name):
    return study.resources.get(runs[name][0], plan.Resources())


wildcard_constraints:
    name="|".join(map(re.escape, runs)),


localrules:
    all,
    book,


rule all:
    input:
        [folder(notebook) for notebook in study.runs],


rule run:
    input:
        needed=lambda w: [folder(name) for name in plan.dependencies(runs[w.name][1])],
        stale=lambda w: stale.get(w.name, []),
    output:
        # update: a run that fails leaves the finished one in place, stale as it is
        update(directory(f"runs/{study.name}/{{name}}")),
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
        runs=rules.all.input,
        stale=mark_stale_book(study, edition),
    output:
        plan.BOOK,
    params:
        words=shlex.join(["book", "--study", study.path, "--edition", edition, "--only"]),
    shell:
        f"{medrl} {{params.words}}"
