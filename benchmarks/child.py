"""Take one measurement in this process and print it as one line of JSON.

Started by :mod:`benchmarks.runner` with the interpreter of the contender's environment:
``python -m benchmarks.child '{"adapter": "contenders.bare", "scenario": "throughput:noop_tasks", "sizes": {…}}'``.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from typing import Any

MARK = "benchmark-figures:"
"""Starts the line with the figures, whatever else the contender may print."""


async def measure(order: dict[str, Any]) -> None:
    """Run the scenario on the contender, print its figures and leave."""
    contender = importlib.import_module(f"benchmarks.{order['adapter']}").Adapter()
    module, function = order["scenario"].split(":")
    scenario = getattr(importlib.import_module(f"benchmarks.scenarios.{module}"), function)
    figures = await scenario(contender, **order["sizes"])
    print(MARK, json.dumps(figures), flush=True)
    sys.stderr.flush()
    os._exit(0)  # a million pending tasks would take their time to be cancelled


if __name__ == "__main__":
    asyncio.run(measure(json.loads(sys.argv[1])))
