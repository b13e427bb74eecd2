"""Graphs on ONNX Runtime: which bundles there are, and rows through them."""
