#!/usr/bin/env python3
"""Convert a checkpoint folder to an ONNX model folder, or verify one.

    scripts/optimize_models.py --slot omni --checkpoint downloads/omni --output models/full/omni \\
        --source Qwen/Qwen2.5-Omni-7B --source-revision <commit>
    scripts/optimize_models.py --verify models/full/omni

Unless told otherwise: int8, cut at a third of the depth, which on real weights classified better than deeper cuts and
than int4, in a third of the time (docs/MODEL_CARD.md).
A conversion that was interrupted, killed or ran out of disk goes on when the same command is run again.
QUANTIZATION_TYPE and MAX_MEMORY of the environment are the defaults of --quantization and --max-memory.
Prints one line on standard error and exits with 1 where a folder cannot be used, with 130 when interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = ("slot", "output", "source", "source-revision")
QUANTIZATIONS = ("int8", "int4", "fp16", "none")
"""The default first."""
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
        print(f"error: {error.strerror}: {error.filename or ''}{_kept(options)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted{_kept(options)}", file=sys.stderr)
        return 130


def _kept(options: argparse.Namespace) -> str:
    """What became of the work of a conversion that did not end."""
    from app.conversion.staging import Staging

    if options.output is None or not Staging.of(options.output).journal.is_file():
        return ""
    return ": finished layers are kept, run the same command again to go on"


def _convert(options: argparse.Namespace) -> int:
    from app.conversion import ConsoleProgress, ConversionRequest, convert

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
        max_memory=options.max_memory,
    )
    manifest = convert(request, ConsoleProgress())
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
    default = os.environ.get("QUANTIZATION_TYPE", "any")
    how.add_argument("--quantization", type=_quantization, default=default, help=f"{', '.join(QUANTIZATIONS)}")
    memory = os.environ.get("MAX_MEMORY") or None
    how.add_argument("--max-memory", type=_bytes, default=memory, help="refuse a result that needs more, like 6GiB")
    how.add_argument("--block-size", type=int, default=128, help="int4: weights that share one scale")
    how.add_argument("--cut-layer", type=_cut_layer, default="third", metavar="K", help="K layers, all or third")
    how.add_argument("--prompt-prefix", help="constant text before the user's own (default: the slot's)")
    how.add_argument("--prompt-suffix", default="", help="constant text after it")
    how.add_argument("--max-pixels", type=int, help="omni: lower the limit of pixels per image")
    how.add_argument("--source", help="repository or file that the weights came from")
    how.add_argument("--source-revision", help="its commit or version")
    return parser


def _quantization(text: str) -> str:
    """Also "any", which QUANTIZATION_TYPE may say of the folders that the service takes: the first one here."""
    if text != "any" and text not in QUANTIZATIONS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(QUANTIZATIONS)}")
    return QUANTIZATIONS[0] if text == "any" else text


def _cut_layer(text: str) -> int | str | None:
    if text in {"all", "third"}:
        return None if text == "all" else text
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of layers, all or third") from error


def _bytes(text: str) -> int:
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        size = TypeAdapter(ByteSize).validate_python(text)
    except ValidationError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no size like 6GiB") from error
    if size <= 0:
        raise argparse.ArgumentTypeError("it must be more than nothing")
    return int(size)


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    """SIGTERM cleans up as Ctrl-C does."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
