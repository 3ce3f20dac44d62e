"""Measuring a running service over HTTP: quality on labelled sets, speed and memory. Never imported by the API."""
