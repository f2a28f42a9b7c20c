"""Grafana dashboards over the marts, written in Python: ``python -m grafana.build``."""
