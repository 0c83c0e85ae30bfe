"""JSON schemas of settings and reports, which ``python -m tools docs`` writes."""
