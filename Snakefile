# What a study runs, in which order, and what may run side by side.
# medrl study smoke; medrl book --study micro; snakemake --config study=micro --cores all
#
# A run is stale when its manifest names other contents than are here now: parameters, notebook,
# the core modules that it uses, data files, runs that it needs. A new time stamp is no new content.

import shlex
import sys

from medrl_core import plan
from medrl_core.study import mark_stale, mark_stale_book

medrl = f"{shlex.quote(sys.executable)} -m medrl_core.cli"
study = plan.load_study(config.get("study", "micro"))
edition = config.get("edition", "student")
stale = mark_stale(study)


def folder(notebook):
    return f"runs/{study.name}/{notebook}"


def resources_of(notebook):
    return study.resources.get(notebook, plan.Resources())


wildcard_constraints:
    notebook="|".join(study.runs),


localrules:
    all,
    book,


rule all:
    input:
        [folder(notebook) for notebook in study.runs],


rule run:
    input:
        needed=lambda w: [folder(n) for n in plan.dependencies(plan.resolve(study, w.notebook))],
        stale=lambda w: stale.get(w.notebook, []),
    output:
        # update: a run that fails leaves the finished one in place, stale as it is
        update(directory(f"runs/{study.name}/{{notebook}}")),
    threads: 1
    resources:
        mem_mb=lambda w: resources_of(w.notebook).mem_mb,
        runtime=lambda w: resources_of(w.notebook).minutes,
    shell:
        f"{medrl} run {{wildcards.notebook}} --study {shlex.quote(study.path)} --only"


rule book:
    input:
        runs=rules.all.input,
        stale=mark_stale_book(study, edition),
    output:
        plan.BOOK,
    shell:
        f"{medrl} book --study {shlex.quote(study.path)} --edition {edition} --only"
