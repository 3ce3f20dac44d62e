"""Prepares one graph in a process of its own, whose memory goes back to the system when it ends.

python -m app.prepared.worker CONVERTED TARGET GRAPH CUT_LAYER      exit 1 and one line on standard error on failure
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from app.domain import FloatArray
from app.encoders import probes
from app.encoders.decoder_io import past_names
from app.encoders.manifest import DecoderSpec, Manifest
from app.encoders.session import Cancellation, GraphSpec, OrtSession, open_graph, served_graphs, session_options
from app.errors import ArtifactError

_MIN_EXTERNAL_BYTES = 64
"""Above every shape that a graph holds as a constant (those must stay inside it), below every scale: packed weights
whose scales stay inside the graph are silently wrong when they are read back (ONNX Runtime 1.31)."""


def main(arguments: list[str]) -> int:
    converted, target, file, cut_layer = arguments
    try:
        manifest = Manifest.load(Path(converted)).cut(int(cut_layer))
        graph = next(graph for graph in served_graphs(manifest) if graph.file == file)
        prepare_graph(Path(converted), Path(target), graph, probe(manifest, graph))
    except ArtifactError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def prepare_graph(converted: Path, target: Path, graph: GraphSpec, feeds: probes.Feeds) -> None:
    """Write `graph` with its packed weights into `target`; ArtifactError unless it gives the same bits as before."""
    options = session_options(threads=1)
    options.optimized_model_filepath = str(target / graph.file)
    for key, value in (
        ("session.optimized_model_external_initializers_file_name", f"{graph.file}.data"),
        ("session.optimized_model_external_initializers_min_size_in_bytes", str(_MIN_EXTERNAL_BYTES)),
        ("session.save_external_prepacked_constant_initializers", "1"),
    ):
        options.add_session_config_entry(key, value)
    expected = _run(OrtSession(open_graph(converted, graph, options), graph), feeds)
    for path in (target / graph.file, target / f"{graph.file}.data"):
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
    if not np.array_equal(expected, _run(OrtSession.load_prepared(target, graph, threads=1), feeds)):
        raise ArtifactError("prepared_differs", file=graph.file)


def probe(manifest: Manifest, graph: GraphSpec) -> probes.Feeds:
    """A small input of the graph."""
    if graph.decoder is not None:
        return decoder_probe(graph.decoder)
    if manifest.vision is not None and graph.file.startswith("vision"):
        return probes.vision_feeds(manifest.vision)
    if manifest.audio is not None:
        return probes.audio_feeds(manifest.audio)
    raise ArtifactError("model_graph_mismatch", file=graph.file, reason="the manifest has no such tower")


def decoder_probe(spec: DecoderSpec) -> probes.Feeds:
    """Seeded noise, nothing before it."""
    noise: FloatArray = np.random.default_rng(0).standard_normal((1, probes.PROBE_TOKENS, spec.hidden_size), np.float32)
    empty = np.zeros((1, spec.kv_heads, 0, spec.head_dim), np.float32)
    return {**probes.decoder_feeds(spec, noise), **dict.fromkeys(past_names(spec.cut_layer), empty)}


def _run(session: OrtSession, feeds: probes.Feeds) -> FloatArray:
    return session.run(feeds, Cancellation())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
