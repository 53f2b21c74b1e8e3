"""Measuring a model: sampling, parsing, Pass@K, statistics, scores and the decision rule."""
