"""Layering: imports point down only, and each third-party package is imported in one place only."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.architecture.layering import Layering, broken_rules, imports_of

SRC: Final = Path(__file__).parents[2] / "src"

LAYERS: Final = Layering(
    layers=(
        # the package's face
        ("async_task_worker", "async_task_worker.__main__"),
        # edges
        ("async_task_worker.task_worker_api",),
        (
            "async_task_worker.cli",
            "async_task_worker.observability",
            "async_task_worker.testing",
            "async_task_worker.web",
        ),
        # the HTTP API
        ("async_task_worker.web.api",),
        ("async_task_worker.web.events",),
        ("async_task_worker.web.models",),
        ("async_task_worker.web.rendering",),
        ("async_task_worker.web.problems", "async_task_worker.web.server_shutdown"),
        (
            "async_task_worker.web.limits",
            "async_task_worker.web.uvicorn_internals",
            "async_task_worker.web.worker_protocol",
        ),
        # facade
        ("async_task_worker.worker",),
        ("async_task_worker.client", "async_task_worker.lifecycle"),
        ("async_task_worker.reader", "async_task_worker.loop_binding"),
        ("async_task_worker.caching.service",),
        # backends
        ("async_task_worker.backends",),
        ("async_task_worker.backends.memory",),
        ("async_task_worker.backends.base",),
        # runtime
        ("async_task_worker.runtime.runner",),
        ("async_task_worker.runtime.coalescing",),
        ("async_task_worker.runtime.capacity",),
        ("async_task_worker.runtime.pool",),
        ("async_task_worker.runtime.extra_slots", "async_task_worker.runtime.task_waiter"),
        (
            "async_task_worker.runtime.abandoned_tasks",
            "async_task_worker.runtime.asyncio_task_factory",
            "async_task_worker.runtime.nested_waits",
        ),
        ("async_task_worker.runtime.executor",),
        (
            "async_task_worker.runtime.eager_start",
            "async_task_worker.runtime.failure_log",
            "async_task_worker.runtime.queue",
            "async_task_worker.runtime.slot",
        ),
        # one task's use of the result cache
        ("async_task_worker.caching.lookup",),
        # state
        ("async_task_worker.state.drain_waiters", "async_task_worker.state.progress"),
        ("async_task_worker.state.futures", "async_task_worker.state.ledger"),
        # the result cache takes part in the journal's commits, but the journal must not import it
        ("async_task_worker.journal.result_cache.adapter",),
        ("async_task_worker.journal.result_cache.pending_writes",),
        ("async_task_worker.journal.result_cache.table",),
        # durability and cache
        ("async_task_worker.caching.adapter", "async_task_worker.journal.journal"),
        (
            "async_task_worker.journal.argument_prefetch",
            "async_task_worker.journal.backup",
            "async_task_worker.journal.database",
            "async_task_worker.journal.group_commit",
            "async_task_worker.journal.paging",
            "async_task_worker.journal.restore",
        ),
        (
            "async_task_worker.journal.acknowledgements",
            "async_task_worker.journal.batch_writer",
            "async_task_worker.journal.database_thread",
            "async_task_worker.journal.history",
            "async_task_worker.journal.unfinished_rows",
        ),
        (
            "async_task_worker.journal.batch",
            "async_task_worker.journal.commit_queue",
            "async_task_worker.journal.connection",
            "async_task_worker.journal.recovery",
            "async_task_worker.journal.statements",
            "async_task_worker.journal.gil_switch_interval",
        ),
        (
            "async_task_worker.journal.commit_participant",
            "async_task_worker.journal.rows",
            "async_task_worker.journal.schema",
        ),
        (
            "async_task_worker.journal.ownership",
            "async_task_worker.journal.serialization",
            "async_task_worker.journal.location",
        ),
        ("async_task_worker.journal.file_system_check",),
        # model
        (
            "async_task_worker.state.events",
            "async_task_worker.model.record_factory",
            "async_task_worker.state.result_memory",
            "async_task_worker.state.filtering",
            "async_task_worker.state.merge_restored",
        ),
        ("async_task_worker.model.record",),
        ("async_task_worker.model.options",),
        ("async_task_worker.model.validation", "async_task_worker.model.outcome"),
        ("async_task_worker.policy", "async_task_worker.model.registry", "async_task_worker.model.query"),
        ("async_task_worker.model.functions", "async_task_worker.model.tracebacks"),
        (
            "async_task_worker.caching.exceptions",
            "async_task_worker.model.signatures",
            "async_task_worker.model.status",
        ),
        ("async_task_worker.model.rendering",),
        ("async_task_worker.model.secret_values",),
        ("async_task_worker.model.failure",),
        (
            "async_task_worker.exceptions",
            "async_task_worker.model.clock",
            "async_task_worker.model.event_loop",
            "async_task_worker.model.safe_logger",
        ),
        # folders: their __init__ holds no more than a docstring
        (
            "async_task_worker.caching",
            "async_task_worker.journal",
            "async_task_worker.journal.result_cache",
            "async_task_worker.model",
            "async_task_worker.runtime",
            "async_task_worker.state",
        ),
        # the cache, a library of its own: everything above may use it, and it knows nothing of that
        ("async_cache",),
        ("async_cache.cache",),
        ("async_cache.base_cache",),
        # its storages
        ("async_cache.adapters", "async_cache.adapters.third_party"),
        ("async_cache.adapters.memory", "async_cache.adapters.redis"),
        ("async_cache.adapters.redis_client", "async_cache.adapters.serializers"),
        ("async_cache.adapters.base",),
        ("async_cache.adapters.circuit_breaker",),
        # its keys
        ("async_cache.key_functions",),
        ("async_cache.copying", "async_cache.keys", "async_cache.snapshot"),
        ("async_cache.argument_binding",),
        # its nouns
        ("async_cache.entry_ids", "async_cache.single_flight", "async_cache.statistics", "async_cache.periodic"),
        ("async_cache.background", "async_cache.exceptions", "async_cache.validation"),
        # the codec, which the journal uses too: it imports nothing else of the cache
        ("async_cache.codec",),
        ("async_cache.codec.codec",),
        ("async_cache.codec.canonical",),
        ("async_cache.codec.registry",),
        ("async_cache.codec.classes", "async_cache.codec.pydantic_models"),
        (
            "async_cache.codec.generics",
            "async_cache.codec.numpy_types",
            "async_cache.codec.pydantic_types",
            "async_cache.codec.schemas",
        ),
        ("async_cache.codec.qualified_names", "async_cache.codec.stdlib_types"),
        ("async_cache.codec.typed_lists",),
        ("async_cache.codec.exceptions",),
    ),
    third_party={
        "click": "async_task_worker.cli",
        "fastapi": "async_task_worker.web",
        "filelock": "async_task_worker.journal.ownership",
        "pydantic": "async_task_worker.web",
        "sse_starlette": "async_task_worker.web",
        "starlette": "async_task_worker.web",
        "pgqueuer": "async_task_worker.backends.postgres",
        "prometheus_client": "async_task_worker.observability",
        "redis": "async_cache.adapters",
        "rich": "async_task_worker.cli",
        "sqlite3": "async_task_worker.journal",
    },
)

SAMPLE: Final = Layering(
    layers=(("app", "app.__main__"), ("app.web",), ("app.queue", "app.clock"), ("app.model",)),
    third_party={"vendor": "app.queue"},
)

SOUND: Final = {
    "app/__init__.py": "from .web import page\n",
    "app/__main__.py": "from app import web\n",
    "app/web.py": "import json\nfrom . import model\nfrom .queue.put import append\n",
    "app/queue/__init__.py": "import vendor.client\nfrom .put import append\n",
    "app/queue/put.py": ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..model import record\n"),
    "app/clock.py": "from app.model import record\n",
    "app/model.py": "import vendor_of_another_name\n",
}

BREACHES: Final = {
    "upward": (
        {"app/model.py": "from .web import page\n"},
        "app.model: imports upward: app.web",
    ),
    "upward, absolute": (
        {"app/model.py": "import app.queue.put\n"},
        "app.model: imports upward: app.queue.put",
    ),
    "upward, to the package's face": (
        {"app/clock.py": "from app import page\n"},
        "app.clock: imports upward: app",
    ),
    "upward, from a folder": (
        {"app/queue/put.py": "from ..web import page\n"},
        "app.queue.put: imports upward: app.web",
    ),
    "upward, inside a function": (
        {"app/model.py": "def load():\n    from . import web\n    return web\n"},
        "app.model: imports upward: app.web",
    ),
    "upward, for types only": (
        {"app/model.py": "import typing\nif typing.TYPE_CHECKING:\n    from app.web import page\n"},
        "app.model: imports upward: app.web",
    ),
    "upward, by name": (
        {"app/model.py": "import importlib\nroof = importlib.import_module('.web', __package__)\n"},
        "app.model: imports upward: app.web",
    ),
    "sideways": (
        {"app/clock.py": "from .queue import put\n"},
        "app.clock: imports sideways: app.queue.put",
    ),
    "a cycle inside a folder": (
        {"app/queue/get.py": "from . import put\n", "app/queue/put.py": "from . import get\n"},
        "import cycle: app.queue.",
    ),
    "a third-party package in the wrong place": (
        {"app/clock.py": "def ask():\n    import vendor\n"},
        "app.clock: imports vendor, which only app.queue may import",
    ),
    "a module in no layer": (
        {"app/helper.py": ""},
        "app.helper: is in no layer",
    ),
}


def build(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_imports_point_down_only() -> None:
    assert broken_rules(SRC, LAYERS) == []


def test_the_whole_tree_is_read() -> None:
    """An empty or misplaced tree would pass every rule."""
    modules = set(imports_of(SRC))

    assert {"async_task_worker", "async_task_worker.worker", "async_task_worker.state.ledger"} <= modules
    assert {"async_cache", "async_cache.cache", "async_cache.adapters.redis"} <= modules


def test_a_sound_tree_breaks_no_rule(tmp_path: Path) -> None:
    assert broken_rules(build(tmp_path, SOUND), SAMPLE) == []


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_named(tmp_path: Path, breach: str) -> None:
    change, verdict = BREACHES[breach]

    broken = broken_rules(build(tmp_path, SOUND | change), SAMPLE)

    assert any(line.startswith(verdict) for line in broken)
