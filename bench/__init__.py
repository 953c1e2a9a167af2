"""Measurements of whole deployments, as ratios within one run. See README.md."""
