"""Base training of AFNet: data sets, generated cases, embedding, fitting, calibration. Never imported by the API."""
