"""What the machine is on which something was measured."""

from __future__ import annotations

from datetime import date

import torch

from hrnet_search.evaluate.machine.devices import device_name, gpu_uuid, resolve_device, versions
from hrnet_search.evaluate.machine.load import cores, cpu_model, read_gpu


def machine(device: str) -> dict[str, str]:
    """Return device, driver, libraries and CPU by name; raise InputError without the device."""
    found = resolve_device(device)
    facts = {"device": device_name(found), "date": str(date.today())}
    if found.type == "cuda":
        facts["gpu_memory"] = str(torch.cuda.get_device_properties(found).total_memory)
        facts["driver"] = dict(read_gpu(gpu_uuid(found))[0]).get("driver", "not told")
    return facts | dict(versions()) | {"cpu": cpu_model(), "cores": str(cores())}
