"""The decision rule's defaults, in one place for the command, the parameters and the measures.

They are conventions, not findings, and were not tuned: a fifth of the room above guessing filled
("support is not trivial"), and ten points left between Pass@K and Acc@1. Fixed after the micro base
was measured and before any arm was trained. Notebook 06_boundary shows what others would have
decided, and what comes of choosing them on the validation items of the other data sets.
Try others: `medrl diagnose DIR --tau-support 0.3`.
"""

TAU_SUPPORT = 0.2
DELTA_GAP = 0.1
# Small on purpose: at large K guessing fills all room.
SUPPORT_K = 4
