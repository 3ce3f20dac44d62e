"""MedModal Fusion: multimodal clinical decision support on one machine."""

import os

__version__ = "0.1.0"

# ONNX Runtime's Linux wheels send telemetry by default (since 1.29) and write a device id into the home folder. The
# switch is read once, when the library is imported: so it is thrown here, before any module of ours can import it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
