"""What the service would run with here, and what is in its way."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from contract.errors import NotReady, SeqcastError
from service.engine.batching import cpu_quota, usable_cpus
from service.engine.repository import Look, joined, load_bundle, look
from service.engine.session import CPU, Device, choose_device, lack_of_cuda, providers
from service.settings import Settings

_PACKAGES = ("seqcast", "onnxruntime", "onnxruntime-gpu", "numpy", "fastapi", "uvicorn", "pydantic", "tokenizers")


def examine(settings: Settings) -> dict[str, Any]:
    """Everything found, and as "complaints" what is wrong with it."""
    complaints = []
    device = CPU
    try:
        device = choose_device(*settings.device_wanted)
    except NotReady as error:
        complaints.append(str(error))
    found = look(settings.bundles)
    bundles = _bundles(found, device)
    complaints += [f"{each['name']}:{each['version']}: {each['fails']}" for each in bundles if each["fails"]]
    complaints += dict.fromkeys([*found.lack, *found.passed_over])
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "device": {
            "asked_for": settings.device,
            "used": device.kind,
            "cuda_graphs": device.graphs,
            "providers": providers(),
            "cuda_lacks": lack_of_cuda(),
        },
        "cpus": {
            "machine": os.cpu_count(),
            "quota": cpu_quota(),
            "usable": usable_cpus(),
            "threads": settings.threads or usable_cpus(),
        },
        "bundles": {"folder": joined(each.absolute() for each in settings.bundles), "versions": bundles},
        "complaints": complaints,
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _bundles(found: Look, device: Device) -> list[dict[str, Any]]:
    """Every version, loaded as the service would and let go of."""
    told = []
    for name, versions in found.versions.items():
        for number, (path, _) in versions.items():
            began = time.perf_counter()
            task, fails = None, None
            try:
                task = load_bundle(path, device).manifest.task
            except SeqcastError as error:
                fails = f"{type(error).__name__}: {error}"
            seconds = round(time.perf_counter() - began, 3)
            told.append({"name": name, "version": number, "task": task, "fails": fails, "seconds": seconds})
    return told


def doctor_report(found: dict[str, Any]) -> str:
    """The same, for a person."""
    device, cpus, bundles = found["device"], found["cpus"], found["bundles"]
    quota = "no quota" if cpus["quota"] is None else f"a quota of {cpus['quota']:g}"
    used = f"{device['used']} ({device['asked_for']} was asked for)"
    if device["cuda_graphs"]:
        used += "; batches are captured in CUDA graphs"
    if device["cuda_lacks"]:
        used += f"; CUDA is not used: {device['cuda_lacks']}"
    elif device["used"] == "cpu":
        used += "; CUDA is not used: it was not asked for"
    lines = [
        ("versions", ", ".join(f"{name} {number}" for name, number in found["versions"].items())),
        ("device", used),
        ("providers", ", ".join(device["providers"])),
        ("CPUs", f"{cpus['usable']} of {cpus['machine']} usable, {quota}; {cpus['threads']} threads compute"),
        ("bundles", bundles["folder"]),
    ]
    lines += [("", _told(each)) for each in bundles["versions"]]
    return "\n".join(f"{name:<11}{text}" for name, text in lines)


def _told(bundle: dict[str, Any]) -> str:
    told = bundle["fails"] or f"{bundle['task']}, loads in {bundle['seconds']:.1f} s"
    return f"{bundle['name']}:{bundle['version']}: {told}"
