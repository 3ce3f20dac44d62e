"""Nothing leaves the machine: ONNX Runtime's telemetry is off whenever our code is what loads it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUN_A_MODEL = """
import {first}
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper
values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", values[:1], values[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
assert session.run(None, {{"x": np.zeros(1, np.float32)}})[0] == 0
"""


def files_left_behind(home: Path, first: str) -> list[str]:
    """What a process leaves in its home folder: a device id is written wherever telemetry is on."""
    hidden = ("CI", "ORT_", "PYTEST", "XDG_", "GITHUB", "TF_BUILD")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    command = [sys.executable, "-c", RUN_A_MODEL.format(first=first)]
    subprocess.run(command, cwd=ROOT, env={**environment, "HOME": str(home)}, check=True, timeout=60)
    return [path.name for path in home.rglob("*") if path.is_file()]


def test_no_device_id_is_written_and_nothing_is_queued_for_sending(tmp_path):
    assert files_left_behind(tmp_path, "app.encoders.session") == []
    assert files_left_behind(tmp_path, "app") == []
