#!/usr/bin/env bash
# Two workers of uvicorn that cannot begin: one way the parent restarts them for ever, the other way it ends with exit code 0.
#
# Versions: uvicorn 0.54.0, h11 0.16.0, Python 3.11 to 3.13.
# Behaviour: an application that cannot be imported (a model file that is missing) ends each worker with code 1, and the parent
#   starts another one every half second, without end and without a pause that grows. One whose startup event fails ends the
#   workers with code 3; then the parent ends too, and its own code is 0. With one process both end with a code that is not 0.
# Consequence: a supervisor that looks at exit codes (systemd, a container) sees either a healthy server or a finished one. Load
#   what can fail in a program of your own that watches its workers, or with one process.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0 h11==0.16.0
cd "$folder"
cat > missing.py <<'PYTHON'
print("begun", flush=True)
raise FileNotFoundError("model.onnx")
PYTHON
cat > failing.py <<'PYTHON'
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "model.onnx is damaged"})
PYTHON
code() { local got=0; "$@" > out 2> err || got=$?; echo "$got"; }
run() { echo timeout -s TERM 30 venv/bin/python -m uvicorn --port 0 --log-level critical "$@"; }
missing_one=$(code $(run missing:app))
missing_two=$(code $(run --workers 2 missing:app))
begun=$(grep -c begun out)
failing_one=$(code $(run failing:app))
failing_two=$(code $(run --workers 2 failing:app))
venv/bin/python -c 'import uvicorn; print("uvicorn", uvicorn.__version__)'
echo "cannot be imported: exit code $missing_one with one process; two workers: still at it after 30 s, begun $begun times"
echo "startup fails:      exit code $failing_one with one process; two workers: exit code $failing_two"
if [ "$missing_one" = 0 ] || [ "$missing_two" != 124 ] || [ "$begun" -lt 3 ] || [ "$failing_one" = 0 ] || [ "$failing_two" != 0 ]; then
  echo "changed"
  exit 1
fi
echo "as stated"
