"""Print what a test's outcome may depend on: processor, precision, threads, versions."""

import os
import platform
from importlib.metadata import distribution
from pathlib import Path

import torch
from packaging.requirements import Requirement

import cnncli
from cnncli.training.device import choose_compute, cpu_has_bf16

info = Path("/proc/cpuinfo")
lines = info.read_text().splitlines() if info.exists() else []
names = [line.split(": ")[1] for line in lines if line.startswith("model name")]
print(f"processor   {names[0] if names else platform.processor()}, {os.cpu_count()} cores")
print(f"capability  {torch.backends.cpu.get_cpu_capability()}, bf16 {cpu_has_bf16()}")
compute = choose_compute("auto", "auto")
print(f"compute     {compute.device}, {compute.precision}, {torch.get_num_threads()} threads")
print(f"cnncli      {cnncli.__version__} from {Path(cnncli.__file__).parent}")
print(f"python      {platform.python_version()} on {platform.platform()}")
for text in sorted(distribution("cnncli").requires or (), key=str.lower):
    requirement = Requirement(text)
    if requirement.marker is None or requirement.marker.evaluate({"extra": "dev"}):
        print(f"{requirement.name:<24}{distribution(requirement.name).version}")
