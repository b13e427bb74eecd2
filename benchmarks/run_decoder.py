"""A trained run behind the service's own decoder."""

from pathlib import Path

from model.architectures import ARCHITECTURES
from model.calibration import calibrate
from model.decoding_graphs import build_graphs
from model.onnx_graph import WeightFile
from model.tasks import Trained
from model.translation import PairsData
from service.decoder import Decoder
from service.engine.session import CPU, Session


def run_decoder(trained: Trained, data: PairsData, folder: Path, *, int8: bool) -> Decoder:
    """Its graphs come into `folder`, which must not be there."""
    ranges = calibrate(trained.model, data) if int8 else None
    description = ARCHITECTURES[trained.recipe.architecture].describe(trained.model, data.source.pad, ranges)
    graphs, files = build_graphs(description, data.spec, data.target, WeightFile("weights.bin"))
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    sessions = {name: Session(folder / graph.file, CPU) for name, graph in graphs.items()}
    return Decoder(sessions, data.spec, (data.source, data.target))
