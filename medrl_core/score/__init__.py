"""Numbers out of answers: reading, matching, Pass@K, intervals, the decision rule; no torch."""
