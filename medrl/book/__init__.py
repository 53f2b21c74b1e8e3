"""The book: chapters with live numbers, scoreboard, provenance and rollouts."""
