"""Labs: editions from one source, checks and grading."""
