"""The REST service. Never imports torch, nor the training side."""
