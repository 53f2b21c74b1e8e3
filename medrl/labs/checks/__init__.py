"""Checks that the cells of the labs call: one module a lab, each failure a hint in one line."""
