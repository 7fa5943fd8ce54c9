#!/usr/bin/env bash
# uvicorn goes on taking a body of any length after the application has answered, and never lets go of a client that is silent.
#
# Versions: uvicorn 0.54.0, h11 0.16.0, Python 3.11 to 3.13.
# Behaviour: an application that answers 413 without reading gets no more of the body, but uvicorn does: h11's data are read and
#   thrown away for as long as the client sends, at processor speed (hundreds of megabytes in two seconds). Its only timer for idle
#   connections starts with the first answer: a connection on which nothing comes, one whose header never ends, and one whose
#   client does not read its answer stay open for good, also with timeout_keep_alive=1.
# Consequence: an early 413 alone spares no work. Answer with "connection: close" (then the transport is closed), and put
#   deadlines into a subclass of H11Protocol, or a proxy with deadlines in front.
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0 h11==0.16.0
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import socket
import threading
import time
from importlib.metadata import version

import uvicorn

print("uvicorn", version("uvicorn"), "h11", version("h11"))


async def app(scope, receive, send):
    body, status = (b"x" * 20_000_000, 200) if scope["path"] == "/long" else (b"no", 413)
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})


config = uvicorn.Config(app, http="h11", log_level="warning", lifespan="off", timeout_keep_alive=1, port=0)
server, listening = uvicorn.Server(config), config.bind_socket()
threading.Thread(target=server.run, args=([listening],), daemon=True).start()
time.sleep(1)
address = ("127.0.0.1", listening.getsockname()[1])


def connect():
    opened = socket.create_connection(address)
    opened.settimeout(10)
    return opened


sender = connect()
sender.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000000\r\n\r\n")
answer = sender.recv(1000)
taken, began = 0, time.monotonic()
while time.monotonic() - began < 2:
    taken += sender.send(bytes(65536))
sender.close()
print(f"answered {answer[:12].decode()}, and took {taken / 1e6:.0f} MB more in 2 s")

silent, dripping, deaf = connect(), connect(), connect()
dripping.sendall(b"GET / HTTP/1.1\r\nx: ")
deaf.sendall(b"GET /long HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
for _ in range(10):
    time.sleep(1)
    dripping.sendall(b"y")
left = len(server.server_state.connections)
print(f"after 10 s with timeout_keep_alive=1: {left} of 3 connections of silent, dripping and deaf clients are open")
if not answer.startswith(b"HTTP/1.1 413") or taken < 20_000_000 or left != 3:
    raise SystemExit("changed: what is refused is not taken any more, or such clients are let go")
print("as stated")
PYTHON
