#!/usr/bin/env bash
# Importing onnxruntime on Linux writes an identifier of the machine and a store of events into the home folder.
#
# Versions: onnxruntime 1.32.0 (the wheel of PyPI for Linux), Python 3.11 to 3.13, numpy 2.4.6.
# Behaviour: "import onnxruntime" alone makes ~/.cache/Microsoft/DeveloperTools/.onnxruntime/ with the files deviceid (a UUID) and
#   onnxruntime.db; the library holds the address of Microsoft's collector of events. disable_telemetry_events(), which the
#   documentation names, comes after that. With ORT_DISABLE_TELEMETRY=1 in the environment before the import nothing is written.
#   Whether and what is sent was not observed: there was no network.
# Consequence: set the variable before the first import, in programs and in containers.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 numpy==2.4.6
written() { # HOME, then the environment: the files that an import leaves
  mkdir "$folder/$1"
  env -u XDG_CACHE_HOME -u ORT_DISABLE_TELEMETRY HOME="$folder/$1" "${@:2}" "$folder/venv/bin/python" -c \
    'import onnxruntime; onnxruntime.disable_telemetry_events()'
  (cd "$folder/$1" && find . -type f | sort | tr '\n' ' ')
}
plain=$(written plain)
off=$(written off ORT_DISABLE_TELEMETRY=1)
"$folder/venv/bin/python" -c 'import onnxruntime; print("onnxruntime", onnxruntime.__version__)'
strings=$(grep -aoc "events.data.microsoft.com" "$folder"/venv/lib/python3*/site-packages/onnxruntime/capi/onnxruntime_pybind11_state*.so || true)
echo "import, then disable_telemetry_events(): ${plain:-nothing}"
echo "with ORT_DISABLE_TELEMETRY=1:            ${off:-nothing}"
echo "the library names events.data.microsoft.com: $([ "$strings" != 0 ] && echo yes || echo no)"
case "$plain" in *deviceid*) ;; *) echo "changed: no identifier is written"; exit 1 ;; esac
[ -z "$off" ] || { echo "changed: the variable does not help"; exit 1; }
echo "as stated"
