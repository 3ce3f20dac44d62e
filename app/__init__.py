"""MedModal Fusion: multimodal clinical decision support on one machine."""

__version__ = "0.1.0"
