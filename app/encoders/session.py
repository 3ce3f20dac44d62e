"""One ONNX graph at run time: the small protocol that encoders use, and its ONNX Runtime implementation.

ONNX Runtime's own exceptions never leave this module: what cannot be loaded or run is an ArtifactError with a one-line
reason.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from app.domain import FloatArray
from app.encoders.decoder_io import FILE as DECODER_FILE
from app.encoders.decoder_io import INPUTS as DECODER_INPUTS
from app.encoders.decoder_io import OUTPUT, past_names
from app.encoders.manifest import DecoderSpec, Manifest
from app.encoders.serving_graph import serving_decoder
from app.errors import ArtifactError, DeadlineError

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]

_ORT_ERRORS: tuple[type[Exception], ...] = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotFound,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    RuntimeError,
    ValueError,
)
_REASON_CHARS = 160


class Cancellation:
    """Stops an `encode` that runs in another thread: between two graphs, or inside one at its next node."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._running: ort.RunOptions | None = None

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> None:
        """Any thread, any number of times."""
        with self._lock:
            self._cancelled = True
            if self._running is not None:
                self._running.terminate = True

    def check(self) -> None:
        """DeadlineError once `cancel` was called."""
        if self._cancelled:
            raise DeadlineError("inference_cancelled")

    @contextmanager
    def running(self) -> Iterator[ort.RunOptions]:
        """The options of one run; `cancel` reaches it until the block ends."""
        options = ort.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        with self._lock:
            self.check()
            self._running = options
        try:
            yield options
        finally:
            with self._lock:
                self._running = None


class Session(Protocol):
    """A loaded graph. ArtifactError where it fails, DeadlineError where cancelled."""

    def run(self, feeds: Feeds, cancellation: Cancellation) -> FloatArray:
        """The graph's main output for these inputs."""
        ...

    def run_all(self, feeds: Feeds, cancellation: Cancellation) -> Mapping[str, FloatArray]:
        """Every output by name."""
        ...


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """What a graph must look like: its file, its inputs and the output that is read."""

    file: str
    inputs: frozenset[str]
    output: str
    decoder: DecoderSpec | None = None
    """Given for a decoder: how far it is cut, and the keys and values that go in and out."""


SessionFactory = Callable[[Path, GraphSpec, int], Session]
"""(model folder, graph, threads) -> session. Injected, so that tests can put their own in."""

VISION_GRAPH = GraphSpec("vision.onnx", frozenset({"pixel_values", "cos", "sin", "key_bias"}), "image_embeds")
AUDIO_GRAPH = GraphSpec("audio.onnx", frozenset({"input_features", "feature_mask", "key_bias"}), "audio_embeds")


def decoder_graph(spec: DecoderSpec) -> GraphSpec:
    """The served decoder (`serving_graph`): `spec.cut_layer` layers, past and present keys and values."""
    return GraphSpec(DECODER_FILE, DECODER_INPUTS | set(past_names(spec.cut_layer)), OUTPUT, spec)


def served_graphs(manifest: Manifest) -> tuple[GraphSpec, ...]:
    """Every graph that an encoder of this manifest opens."""
    towers = ((manifest.vision, VISION_GRAPH), (manifest.audio, AUDIO_GRAPH))
    return (decoder_graph(manifest.decoder), *(graph for spec, graph in towers if spec is not None))


class OrtSession:
    """`ort.InferenceSession` on the CPU."""

    def __init__(self, session: ort.InferenceSession, graph: GraphSpec) -> None:
        self._session = session
        self._graph = graph

    @classmethod
    def load(cls, folder: Path, graph: GraphSpec, threads: int) -> Self:
        """A graph of a converted folder; ONNX Runtime packs the weights for its kernels, on the heap.

        ArtifactError where the file is missing, damaged, or is another graph than `graph`.
        """
        return cls(open_graph(folder, graph, session_options(threads)), graph)

    @classmethod
    def load_prepared(cls, folder: Path, graph: GraphSpec, threads: int) -> Self:
        """A graph of a prepared folder (`prepared`): its weights are packed already and stay on disk, mapped.

        ArtifactError as above.
        """
        options = session_options(threads)
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # done when it was prepared
        return cls(_open(str(folder / graph.file), folder / graph.file, graph, options), graph)

    def run(self, feeds: Feeds, cancellation: Cancellation) -> FloatArray:
        return self._run((self._graph.output,), feeds, cancellation)[0]

    def run_all(self, feeds: Feeds, cancellation: Cancellation) -> Mapping[str, FloatArray]:
        names = tuple(value.name for value in self._session.get_outputs())
        return dict(zip(names, self._run(names, feeds, cancellation), strict=True))

    def _run(self, names: Sequence[str], feeds: Feeds, cancellation: Cancellation) -> list[FloatArray]:
        with cancellation.running() as options:
            try:
                outputs = self._session.run(list(names), dict(feeds), options)
            except _ORT_ERRORS as error:
                cancellation.check()
                raise ArtifactError("model_run_failed", graph=self._graph.file, reason=one_line(error)) from error
        return [np.asarray(output, dtype=np.float32) for output in outputs]


def open_graph(folder: Path, graph: GraphSpec, options: ort.SessionOptions) -> ort.InferenceSession:
    """A graph of a converted folder, as it is served. ArtifactError where it cannot be."""
    path = folder / graph.file
    if graph.decoder is None:
        return _open(str(path), path, graph, options)
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder.absolute()))
    return _open(serving_decoder(path, graph.decoder).SerializeToString(), path, graph, options)


def _open(model: str | bytes, path: Path, graph: GraphSpec, options: ort.SessionOptions) -> ort.InferenceSession:
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except _ORT_ERRORS as error:
        raise ArtifactError("model_graph_invalid", file=str(path), reason=one_line(error)) from error
    inputs = {value.name for value in session.get_inputs()}
    outputs = {value.name for value in session.get_outputs()}
    if inputs != graph.inputs or graph.output not in outputs:
        raise ArtifactError("model_graph_mismatch", file=str(path), reason=f"inputs are {sorted(inputs)}")
    return session


def session_options(threads: int) -> ort.SessionOptions:
    """`threads` for one operator, one operator at a time.

    Idle threads sleep instead of spinning: with two encoders and a server on as many cores as threads, spinning doubled
    the processor time of a text and its latency under load.

    The arena serves one run and is given back after it (`Cancellation.running`). Kept, it holds a block for every
    length that it has seen: 330 MiB instead of 35 for two layers of 8B width after 522 tokens. Without one, every
    operator's output is mapped and zeroed anew: 4.8 s instead of 2.3 for Qwen2.5-Omni-7B's vision tower and a
    448-pixel picture.
    """
    options = ort.SessionOptions()
    options.enable_mem_pattern = False
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:_REASON_CHARS]
