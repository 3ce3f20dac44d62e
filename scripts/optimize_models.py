#!/usr/bin/env python3
"""Convert a checkpoint folder to an ONNX model folder, or verify one.

    scripts/optimize_models.py --slot omni --checkpoint downloads/omni --output models/full/omni \\
        --quantization int4 --cut-layer 16 --source Qwen/Qwen2.5-Omni-7B --source-revision <commit>
    scripts/optimize_models.py --verify models/full/omni

Prints one line on standard error and exits with 1 where a folder cannot be used, with 130 when interrupted.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = ("slot", "output", "source", "source-revision")
DEFAULT_PREFIX = {"omni": "<|im_start|>user\n", "medical": ""}


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    missing = [name for name in REQUIRED if getattr(options, name.replace("-", "_")) is None]
    if options.checkpoint is not None and missing:
        parser.error(f"--checkpoint also needs --{', --'.join(missing)}")
    sys.path.insert(0, str(ROOT))
    import transformers

    from app.errors import ArtifactError

    hub: Any = transformers  # its logging is untyped
    hub.logging.set_verbosity_error()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _verify(options.verify) if options.verify else _convert(options)
    except ArtifactError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.strerror}: {error.filename or ''}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing was changed", file=sys.stderr)
        return 130


def _convert(options: argparse.Namespace) -> int:
    from app.conversion import ConversionRequest, TqdmProgress, convert

    prefix = options.prompt_prefix
    request = ConversionRequest(
        checkpoint=options.checkpoint,
        output=options.output,
        quantization=options.quantization,
        source=options.source,
        source_revision=options.source_revision,
        block_size=options.block_size,
        cut_layer=options.cut_layer,
        prompt_prefix=DEFAULT_PREFIX[options.slot] if prefix is None else prefix,
        prompt_suffix=options.prompt_suffix,
        max_pixels=options.max_pixels,
        slot=options.slot,
    )
    manifest = convert(request, TqdmProgress())
    spec = manifest.decoder
    print(f"{options.output}: {manifest.architecture}, {manifest.quantization}, layers {spec.cut_layer}/{spec.layers}")
    print(f"manifest {manifest.digest}")
    return 0


def _verify(folder: Path) -> int:
    from app.conversion.verification import verify

    manifest = verify(folder)
    print(f"{folder}: {len(manifest.files)} files as converted, every graph runs; manifest {manifest.digest}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    what = parser.add_argument_group("what").add_mutually_exclusive_group(required=True)
    what.add_argument("--checkpoint", type=Path, help="folder with config.json, safetensors and tokenizer")
    what.add_argument("--verify", type=Path, metavar="FOLDER", help="check a converted folder and stop")
    how = parser.add_argument_group("how (with --checkpoint)")
    how.add_argument("--slot", choices=("omni", "medical"), help="which encoder it will serve as")
    how.add_argument("--output", type=Path, help="model folder to write; replaced only when the new one is whole")
    how.add_argument("--quantization", choices=("none", "int8", "int4"), default="int4")
    how.add_argument("--block-size", type=int, default=128, help="int4: weights that share one scale")
    how.add_argument("--cut-layer", type=int, metavar="K", help="keep the first K layers (default: all)")
    how.add_argument("--prompt-prefix", help="constant text before the user's own (default: the slot's)")
    how.add_argument("--prompt-suffix", default="", help="constant text after it")
    how.add_argument("--max-pixels", type=int, help="omni: lower the limit of pixels per image")
    how.add_argument("--source", help="repository or file that the weights came from")
    how.add_argument("--source-revision", help="its commit or version")
    return parser


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    """SIGTERM cleans up as Ctrl-C does."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
