"""Training of the embedded vision and audio towers. Run by scripts/train_towers.py, never by the API."""
