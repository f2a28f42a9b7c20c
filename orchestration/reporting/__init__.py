"""A report on the monitored models as one HTML file: marts in, a page out."""
