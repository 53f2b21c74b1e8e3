"""How the micro base models were made: one command a base."""
