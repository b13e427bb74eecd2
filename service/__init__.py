"""The REST service. Never imports torch, nor the training side."""

import os

# ONNX Runtime sends Microsoft what it runs unless told not to before it is loaded; who wants that sets it to 0
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
