"""Replays a year of real flights through served models, as three monitored services.

``python -m simulator --help`` shows the command line; :mod:`simulator.replay` is the
same thing as a function. The package knows the ``raw`` schema and nothing behind it.
"""
