"""A process that runs cells for a parent: tasks come in as JSON lines, events go out as JSON lines.

It is a fresh interpreter, so it needs nothing of the parent's memory, and it dies with its parent: the parent alone holds the other end of
its standard input, and when that closes it ends at once, whatever it is doing. What it leaves is resumed from its checkpoint.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from dataclasses import asdict
from typing import Any

from fewtag.experiments.cell import Event, Runner, Task


def main() -> None:
    """Serve the parent until it closes our input."""
    # The channel keeps the real output to itself; what packages print goes where errors go.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    stop = threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            message = json.loads(line)
            if "stop" in message:
                stop.set()
            else:
                tasks.put(message)
        os._exit(0)

    def tell(event: Event) -> None:
        channel.write(json.dumps(asdict(event), ensure_ascii=False) + "\n")
        channel.flush()

    threading.Thread(target=listen, daemon=True).start()
    from fewtag.tagger.allocator import keep_pages

    keep_pages()
    runner = Runner()
    while True:
        runner.run(Task(**tasks.get()), tell, stop.is_set)


if __name__ == "__main__":
    main()
