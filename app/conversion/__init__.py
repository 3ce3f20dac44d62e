"""Checkpoint folders to ONNX folders, weights streamed. Never imported by the API process.

The life of a conversion: `checkpoint` reads headers, `architecture` and `towers` say which tensors of which shape must
be there, `decoder_graph` and `tower_graphs` add nodes to a `graph`, which pulls each weight through `quantization` into
`external_data`, section by section; `staging` renames the finished folder into place. `pipeline.convert` is that, in
order. An interrupted run leaves `.NAME.partial`: its `journal` tells the next run of the same `identity` which sections
are finished, so that their weights are not read again. `footprint` says what a result takes on disk and in memory.

Where Optimum is used, and where it is not
------------------------------------------
optimum 2.1.0 with optimum-onnx 0.1.0 exports the text decoders (`LlamaForCausalLM`, `Qwen2ForCausalLM`,
`MistralForCausalLM`) by tracing transformers' own model. That path shares no line with ours, so the parity tests use it
as a second reference: the same checkpoint goes through Optimum's exporter and through `convert`, and the two ONNX
graphs must agree to 1e-4. It is a development dependency, not one of the service.

It does not make the folders that are served, because

* it has no export configuration for Qwen2.5-Omni (`qwen2_5_omni` is no known model type, its thinker not even a known
  config), neither for the thinker nor for its vision and audio towers;
* it loads the whole model in float32 and traces it: some 30 GB of memory for 7B and 8B checkpoints, which are converted
  here in 0.8 GB (measured at the full widths of the 7B, any depth);
* its graph computes rotary positions inside, so TMRoPE's three position ids cannot enter, and it ends after the last
  layer and the final norm, while the encoders are cut at a layer K, before it;
* its quantiser (`ORTQuantizer`) takes a whole exported graph, has no 4-bit blocks, and gives a layer's input a single
  dynamic scale: with one, SmolLM2's pooled embedding falls to a cosine of 0.98 where 0.999 is asked.

torch's own exporter can take the two towers once they are written without `cu_seqlens`. They are built by hand all the
same: with the decoder's builder that is 200 lines and no second way for weights to stream, takes 0.1 s a tower instead
of several seconds of tracing, gives the same bytes on every run, and uses ONNX Runtime's fused attention and rotary
operators in place of traced primitives.
"""

from app.conversion.pipeline import convert
from app.conversion.progress import ConsoleProgress, NoProgress, Progress
from app.conversion.request import ConversionRequest

__all__ = ["ConsoleProgress", "ConversionRequest", "NoProgress", "Progress", "convert"]
