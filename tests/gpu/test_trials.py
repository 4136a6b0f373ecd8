"""Several processes on one device: trials together, and a measurement that is alone."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from driver_process import running
from gpu.on_devices import DEVICES, LATENCY, SLOW_DEVICES, always, network, result_of, task

from hrnet_search.evaluate.latency.measure import measure_latency
from hrnet_search.evaluate.training.trial import Worker, gate_of
from hrnet_search.records.trial import COMPLETED

TRAINING = """
import time
from gpu.on_devices import trainer
from hrnet_search.evaluate.training.trial import gate_of
with gate_of({device!r}, {device!r}) as gate:
    one = trainer({device!r}, steps=10**6)
    one.advance()
    print("in", flush=True)
    while True:
        gate.pause()
        one.advance()
        print(time.monotonic(), flush=True)
"""


@pytest.fixture
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep out of the way of whatever else this user computes."""
    tests = Path(__file__).parents[1]
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tests}:{tests.parent}")
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.mark.slow
@pytest.mark.usefixtures("own_locks")
@pytest.mark.parametrize("device", DEVICES)
def test_no_other_process_steps_on_a_device_while_it_measures(device: str) -> None:
    with running(TRAINING.format(device=device)) as other:
        with gate_of(device, device) as gate, gate.alone():
            begun = time.monotonic()
            found = measure_latency(network("cpu"), replace(LATENCY, device=device), classes=3)
            ended = time.monotonic()
        assert other.stdout
        steps = list[float]()
        while not steps or steps[-1] < ended:  # the training goes on
            steps.append(float(other.stdout.readline()))
    assert found.median_ms > 0
    assert not [at for at in steps if begun < at < ended]


@pytest.mark.usefixtures("own_locks")
@pytest.mark.parametrize("device", SLOW_DEVICES)
def test_two_trials_on_one_device_are_each_as_alone(device: str) -> None:
    """Exactly on a CPU; on CUDA, where kernels add in any order, as two runs of one are."""
    given = [task(device, seed=seed, latency=LATENCY, reference_ms=1.0) for seed in (0, 1)]
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        together = list(pool.map(result_of, given))
    alone = [result_of(one) for one in given]
    for one, other in zip(together, alone, strict=True):
        assert (one.status, one.error) == (COMPLETED, "")
        assert one.latency is not None
        assert other.latency is not None
        assert one.latency.condition == other.latency.condition
        if device == "cpu":
            assert one.miou == other.miou
        assert [r.loss for r in one.rungs] == pytest.approx([r.loss for r in other.rungs], rel=0.1)


@pytest.mark.parametrize("device", SLOW_DEVICES)
def test_a_worker_keeps_images_open_between_trials(device: str, tmp_path: Path) -> None:
    worker = Worker()
    for seed in range(2):
        result = worker.run(task(device, tmp_path, seed=seed), always)
        assert (result.status, result.error) == (COMPLETED, "")
        assert dict(result.versions)["torch"]
    assert len(list((tmp_path / "weights").iterdir())) == 2
