"""What is measured: coroutine functions that take a fresh contender and sizes and return figures.

Each runs in a process of its own (:mod:`benchmarks.child`), which ends without tidying up.
The garbage collector keeps the interpreter's own settings.
"""
