"""Bundles' graphs as models of the Open Inference Protocol v2, with Triton's binary tensors; no HTTP in here."""
