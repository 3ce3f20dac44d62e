"""From feedback to a better version: selection, LoRA training, recalibration, gate. Never imported by the API."""
