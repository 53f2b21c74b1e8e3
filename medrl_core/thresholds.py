"""The decision rule's defaults, in one place for the command, the parameters and the measures.

They are conventions, not findings: a fifth of the room above guessing filled ("support is not
trivial"), and ten points left between Pass@K and Acc@1. Fixed after the micro base was measured and
before any arm was trained. Tune them on validation modalities only, never on those reported.
Try others: `medrl diagnose DIR --tau-support 0.3`.
"""

TAU_SUPPORT = 0.2
DELTA_GAP = 0.1
# Small on purpose: at large K guessing fills all room.
SUPPORT_K = 4
