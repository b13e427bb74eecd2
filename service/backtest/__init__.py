"""Forecasts from many rows of a long table, beside the baselines, and what came of them."""
