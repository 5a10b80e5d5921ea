"""An agent inside of a phase that has a client for tools: each argument is one thing to do, told in `said-PHASE`.

`TOOL {ARGUMENTS}` calls a tool of `wavecrew mcp`, which gets as few variables as clients give their servers. `TOOLS`
tells which there are. `WAIT PATH` waits until a file exists. `RUN COMMAND` is carried out by a shell.
"""

import asyncio
import json
import os
import subprocess
import sys

from mcp import Client, StdioServerParameters
from mcp_types import Implementation, TextContent


def tell(what: str, told: object) -> None:
    with open(f"said-{os.environ['WAVECREW_PHASE']}", "a", encoding="utf-8") as file:
        file.write(json.dumps([what, told]) + "\n")


async def work() -> None:
    server = StdioServerParameters(command=sys.executable, args=["-m", "wavecrew", "mcp"])
    async with Client(server, client_info=Implementation(name="phase-agent", version="1")) as client:
        for line in sys.argv[1:]:
            what, _, rest = line.partition(" ")
            if what == "TOOLS":
                tell(what, sorted(tool.name for tool in (await client.list_tools()).tools))
            elif what == "WAIT":
                while not os.path.exists(os.path.expandvars(rest)):
                    await asyncio.sleep(0.02)
            elif what == "RUN":
                subprocess.run(["sh", "-c", rest], check=True)
            else:
                done = await client.call_tool(what, json.loads(rest))
                [content] = done.content
                assert isinstance(content, TextContent)
                tell(what, content.text if done.is_error else json.loads(content.text))


asyncio.run(work())
