"""A server that runs a shell script in a sandbox for each request, up to 50 at a time.

    python3 server.py SOCKET

A client writes a script, closes its side, and reads what the script has printed.
"""

import asyncio
import contextlib
import os
import sys

import libct

AT_A_TIME = asyncio.Semaphore(50)


async def answer(script):
    """What a script prints, and how it ended."""
    async with AT_A_TIME:
        try:
            done = await libct.run_async(
                ["sh", "-s"],
                input=script,
                stdout=libct.PIPE,
                stderr=libct.STDOUT,
                max_output="64K",
                timeout=20,
                rlimits={"NPROC": 100, "FSIZE": "1M"},
                cwd="/tmp",
            )
        except libct.TimeoutExpired as error:
            return (error.stdout or b"") + b"[took too long]\n"
    return done.stdout + f"[{done.ended_by}: {done.returncode}]\n".encode()


async def serve(reader, writer):
    writer.write(await answer(await reader.read(65536)))
    await writer.drain()
    writer.close()


async def main(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    server = await asyncio.start_unix_server(serve, path)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
