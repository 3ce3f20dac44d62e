"""Checkpoint folders to ONNX folders. Never imported by the API process."""

from app.conversion.pipeline import ConversionRequest, convert
from app.conversion.progress import NoProgress, Progress, TqdmProgress

__all__ = ["ConversionRequest", "NoProgress", "Progress", "TqdmProgress", "convert"]
