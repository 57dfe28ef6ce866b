"""A chat room on Python's `websockets`.

It broadcasts as the documentation's page on broadcasting says: websockets' own broadcast(), which frames the message once
and writes it to every transport without waiting. Compression is off, as its page on memory advises for such a room.
"""

import asyncio
import json
import sys

from websockets.asyncio.server import broadcast, serve

connections = set()
tourists = 0


async def member(socket):
    global tourists
    tourists += 1
    name = f"Tourist {tourists}"
    connections.add(socket)
    try:
        async for text in socket:
            broadcast(connections, json.dumps({"mess": text, "name": name}, separators=(",", ":")))
    finally:
        connections.discard(socket)


async def main():
    async with serve(member, "127.0.0.1", 0, compression=None, backlog=4096) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"listening on http://127.0.0.1:{port}/", file=sys.stderr, flush=True)
        await server.serve_forever()


asyncio.run(main())
