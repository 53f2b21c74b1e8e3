"""Load models, build the micro model, encode images by frozen towers."""
