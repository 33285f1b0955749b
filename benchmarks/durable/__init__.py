"""Adapters of what writes jobs down: one module for each, each with a class named ``Adapter``.

They are imported only by the measuring process, inside the environment that has the
packages they need. What they offer is described in :mod:`benchmarks.durable.protocol`.
"""
