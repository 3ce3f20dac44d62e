#!/usr/bin/env bash
# Build llama.cpp's llama-bench, which scripts/benchmark.py --full compares the service with.
#   scripts/build_llama_bench.sh FOLDER      leaves FOLDER/llama-bench; needs pip, cmake and a C++ compiler
# The source is the copy of llama.cpp (MIT) inside the source package of llama-cpp-python (MIT), pinned below. CPU only,
# for this machine's own instructions; set JOBS to compile with fewer cores.
set -euo pipefail

version=0.3.36
sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
folder=$(realpath -m "${1:?usage: build_llama_bench.sh FOLDER}")
archive="$folder/llama_cpp_python-$version.tar.gz"
source="$folder/llama_cpp_python-$version/vendor/llama.cpp"

mkdir -p "$folder"
if [ ! -f "$archive" ]; then
    "${PYTHON:-python3}" -m pip download --quiet --no-binary :all: --no-deps --dest "$folder" "llama-cpp-python==$version"
fi
echo "$sha256  $archive" | sha256sum --check --quiet
tar -xzf "$archive" -C "$folder" "llama_cpp_python-$version/vendor/llama.cpp"
cmake -S "$source" -B "$folder/build" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF \
    -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF
cmake --build "$folder/build" --target llama-bench --parallel "${JOBS:-$(nproc)}"
cp "$folder/build/bin/llama-bench" "$folder/llama-bench"
echo "$folder/llama-bench"
