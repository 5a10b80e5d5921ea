"""The server of a page in a thread of the test, with a world that the test moves on.

What it does: starts, ends and starts again, at one port, with one key.
What it does not know: browsers.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import Any

from wavecrew.core.store import Store
from wavecrew.web.entry import entry_of
from wavecrew.web.guard import Door
from wavecrew.web.serve import bind, server_of
from wavecrew.web.site import Site
from web_world import World

PATIENCE = 30.0


@dataclass
class Watched:
    """A world and the server of its page."""

    world: World
    port: int
    read_only: bool = False
    server: Any = None
    thread: threading.Thread | None = None
    store: Store | None = None

    @property
    def link(self) -> str:
        """What opens the page."""
        return f"http://127.0.0.1:{self.port}/#key={entry_of(self.world.store.folder).token}"

    def start(self) -> None:
        """Serve, on a connection of its own as another process has it."""
        listener = bind(self.port)
        self.port = listener.getsockname()[1]
        self.store = Store.open(self.world.folder)
        door = Door(entry_of(self.store.folder), self.port, self.read_only)
        self.server = server_of(Site(self.world.folder, self.store, door))
        self.thread = threading.Thread(target=lambda: asyncio.run(self.server.serve(sockets=[listener])), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End in good order."""
        if self.thread is not None and self.store is not None:
            self.server.should_exit = True
            self.thread.join(PATIENCE)
            assert not self.thread.is_alive(), "the server did not end"
            self.store.close()
            self.thread = None

    def close(self) -> None:
        """End everything."""
        self.stop()
        self.world.close()


def served(world: World, **more: Any) -> Watched:
    """A world that is shown."""
    found = Watched(world, 0, **more)
    found.start()
    return found
