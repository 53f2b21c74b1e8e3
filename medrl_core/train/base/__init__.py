"""How the micro base model was made."""
