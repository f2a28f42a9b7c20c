"""How fast Driftline is, against a bare scan, bare COPY and other tools.

``python -m benchmarks --help``; what is measured is in ``docs/benchmarks.md``.
"""
