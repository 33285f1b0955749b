"""Adapters of caches: one module for each, with a class named ``Adapter``.

They are imported only by the measuring process, inside the environment that has the
packages they need. What they offer is described in :mod:`benchmarks.caches.protocol`.
Each says at its top whether a hit is a copy or the stored object itself.
"""
