"""Measure the worker against a bare asyncio floor, its peers and the published package.

Run it with ``python -m benchmarks``; ``README.md`` beside this file tells the method.
"""
