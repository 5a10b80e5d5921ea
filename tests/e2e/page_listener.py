"""A listener of the page without a browser, as a process of its own: it puts together what it is told, as the page
does, and writes it down. Arguments: the port, the file with the key, and the file to write."""

from __future__ import annotations

import http.client
import json
import os
import sys
from pathlib import Path
from typing import Any


def main(port: int, key: Path, out: Path) -> None:
    """Listen until somebody ends it, or the server goes."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"authorization": f"Bearer {key.read_text(encoding='utf-8').strip()}"}
    connection.request("GET", "/api/run/latest/events", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    known: dict[str, Any] = {"rows": {}}
    kind = ""
    for raw in answer:
        name, _, value = raw.decode().rstrip("\n").partition(": ")
        if name == "event":
            kind = value
        elif name == "data" and kind == "news":
            news = json.loads(value)
            known["rows"] |= news.pop("rows", {})
            known |= {part: news[part] for part in ("head", "needs", "seq") if part in news}
            written = out.with_suffix(".new")
            written.write_text(json.dumps(known), encoding="utf-8")
            os.replace(written, out)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
