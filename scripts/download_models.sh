#!/usr/bin/env bash
# Download the full pair's checkpoints into models/full/downloads, or say what is there (--check). --help says the rest.
# Uses $PYTHON where it is set, else the project's .venv.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
if ! command -v -- "$python" >/dev/null; then
  case "${LC_ALL:-${LC_MESSAGES:-${LANG:-}}}" in
    ko*) echo "오류: $python 이(가) 없습니다. make install을 실행하거나 PYTHON으로 지정하십시오" >&2 ;;
    *) echo "error: there is no $python: run make install, or say where Python is with PYTHON" >&2 ;;
  esac
  exit 1
fi
# read when huggingface_hub is imported: no telemetry, and plain HTTP, which resumes and which mirrors speak
export HF_HUB_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_XET=1
PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" exec "$python" -P -m app.conversion.download_cli "$@"
