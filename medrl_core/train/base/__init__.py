"""How the micro bases were made: what they were taught, and the recipes."""
