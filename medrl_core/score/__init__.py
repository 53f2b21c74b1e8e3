"""Numbers out of answers: reading, Pass@K, intervals and the decision rule."""
