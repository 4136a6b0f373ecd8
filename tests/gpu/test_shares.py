"""Shares of a GPU through Ray: as many workers on one device as are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpu.test_killed import BASE, SPACE

from hrnet_search.store.study import open_study


@pytest.mark.gpu
@pytest.mark.ray
@pytest.mark.slow
def test_workers_with_half_a_gpu_each_train_beside_one_another(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    from hrnet_search.search.begin import open_store
    from hrnet_search.search.interrupt import Interrupt
    from hrnet_search.search.ray_tune.nodes import Asked
    from hrnet_search.search.ray_tune.open_driver import ray_driver
    from hrnet_search.search.run import search
    from hrnet_search.search.settled_plan import plan_of
    from hrnet_search.space.load import load_space_file

    space, folder = tmp_path / "space.yaml", tmp_path / "study"
    space.write_text(SPACE.format(base=BASE, device="cuda"))
    file = load_space_file(space)
    plan, said = plan_of(file, folder), list[str]()
    with Interrupt() as interrupt, open_store(file, plan, folder) as store:
        study = store.notes().study_id or folder.name
        asked = Asked(workers=2, gpus=0.5)
        with ray_driver(asked, folder, study, "cuda", None, interrupt, said.append) as driver:
            search(plan, store, [], said.append, driver)
    assert any("2 workers, each with" in line and "0.5 GPU" in line for line in said)
    results = [result for _, result in open_study(folder).trials()]
    assert [r.status for r in results if r] == ["completed"] * 4, [r.error for r in results if r]
