"""Pictures show completed trials, in their unit, under one condition each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import network, result
from matplotlib.collections import LineCollection
from matplotlib.text import Annotation, Text

from hrnet_search.arch.cost import Cost
from hrnet_search.errors import InputError
from hrnet_search.parts import Parts
from hrnet_search.records.latency import LatencyCondition
from hrnet_search.records.trial import FAILED, INFEASIBLE, STOPPED, TrialResult
from hrnet_search.report.figure import Ends, Picture, draw, save
from hrnet_search.report.plots import condition_text, pictures, write_plots
from hrnet_search.report.style import style_of
from hrnet_search.store.study import Study

MakeStudy = Callable[..., Study]
CONDITION = LatencyCondition("H100 $x$ é", "cudagraph", "fp16", 2, (512, 1024), 3, "channels_last")


def picture(x: list[float], miou: list[float], log: bool = False) -> Picture:
    numbers = tuple(range(len(x)))
    return Picture("a", "b", "c", np.array(x), np.array(miou), numbers, "d", log)


def labels(found: Picture) -> list[str]:
    texts = draw(found).axes[0].texts
    return [text.get_text() for text in texts if isinstance(text, Annotation)]


def timed(found: TrialResult, condition: LatencyCondition) -> TrialResult:
    assert found.latency is not None
    return replace(found, latency=replace(found.latency, condition=condition))


def test_no_completed_trial_gives_no_picture(make_study: MakeStudy) -> None:
    study = make_study()
    assert write_plots(study, study.folder / "report", Parts()) == ()
    study = make_study((network(8), result(0, status=STOPPED)), (network(9), None))
    assert write_plots(study, study.folder / "report", Parts()) == ()


def test_one_trial_gives_every_picture_thrice_width_first(make_study: MakeStudy) -> None:
    study = make_study((network(8), result(0, miou=0.5)))
    files = write_plots(study, study.folder / "report", Parts())
    assert [path.name for path in files] == [
        f"{name}_miou.{kind}"
        for name in ("width", "macs", "latency")
        for kind in ("png", "svg", "pdf")
    ]
    assert files[0].read_bytes().startswith(b"\x89PNG")
    assert b"</svg>" in files[1].read_bytes()


def test_only_completed_trials_are_drawn_and_the_others_counted(make_study: MakeStudy) -> None:
    study = make_study(
        (network(8), result(0, miou=0.5)),
        (network(9), result(1, miou=0.9, status=STOPPED)),
        (network(10), result(2, miou=None, status=FAILED, error="x")),
        (network(11), result(3, miou=None, status=INFEASIBLE)),
        (network(12), None),
    )
    for found in pictures(study):
        assert found.numbers == (0,)
        assert "completed: 1; not drawn: 1 stopped, 1 failed, 1 infeasible, 1 interrupted" in (
            found.caption
        )


def test_axes_are_in_their_units(make_study: MakeStudy) -> None:
    cost = Cost(10**6, 12 * 10**9, 10**7)
    study = make_study((network(8), result(4, miou=0.5, cost=cost)))
    width, macs, latency = pictures(study)
    assert (width.x.tolist(), macs.x.tolist(), latency.x.tolist()) == ([8.0], [12.0], [5.5])
    assert "MACs (G) per image of 64 x 64 pixels" in macs.label
    assert "(ms)" in latency.label
    assert (width.log, macs.log, latency.log) == (False, True, True)


def test_latencies_of_two_conditions_never_share_an_axis(make_study: MakeStudy) -> None:
    study = make_study(
        (network(8), result(0, miou=0.5)),
        (network(9), timed(result(1, miou=0.6), CONDITION)),
        (network(10), result(2, miou=0.7)),
    )
    found = {p.name: p for p in pictures(study)}
    assert found["latency_miou"].numbers == (0, 2)
    assert found["latency_miou_2"].numbers == (1,)
    assert "a machine, eager, fp32" in found["latency_miou"].label
    assert "H100" in found["latency_miou_2"].label
    assert "pixels" not in found["macs_miou"].label
    assert len(write_plots(study, study.folder / "report", Parts())) == 12


def test_a_condition_is_named_whole() -> None:
    text = condition_text(CONDITION)
    for part in ("H100 $x$", "cudagraph", "fp16", "batch 2", "512 x 1024 pixels", ": 3", "_last"):
        assert part in text
    assert text.isascii()


def test_trials_without_a_latency_have_the_other_pictures(make_study: MakeStudy) -> None:
    study = make_study((network(8), result(0, miou=0.5, latency=None)))
    assert [p.name for p in pictures(study)] == ["width_miou", "macs_miou"]


def test_the_front_is_labelled_and_ties_share_a_label() -> None:
    found = labels(picture([8, 16, 16, 16, 24], [0.3, 0.5, 0.5, 0.4, 0.45]))
    assert sorted(found) == ["#0", "#1 and 1 more"]


def test_labels_without_room_are_left_out_the_most_accurate_stays() -> None:
    x = [1 + i * 1e-3 for i in range(50)] + [2.0]
    found = labels(picture(x, [0.5 + i * 1e-4 for i in range(51)]))
    assert "#50" in found
    assert 2 <= len(found) < 20


@pytest.mark.parametrize("x", [[1.0, 1.0], [1.0, 1.3], [0.5, 900.0]])
def test_a_cost_axis_has_ticks_whatever_its_range(x: list[float]) -> None:
    axes = draw(picture(x, [0.0, 1.0], log=True)).axes[0]
    low, high = axes.get_xlim()
    assert low < min(x)
    assert high > max(x)
    assert len([tick for tick in axes.get_xticks() if low <= tick <= high]) >= 2


def test_equal_studies_give_equal_bytes(make_study: MakeStudy) -> None:
    study = make_study((network(8), result(0, miou=0.5)), (network(9), result(1, miou=0.6)))
    first = [p.read_bytes() for p in save(draw(pictures(study)[0]), study.folder / "a", "x")]
    again = [p.read_bytes() for p in save(draw(pictures(study)[0]), study.folder / "b", "x")]
    assert first == again
    assert b"<dc:date>" not in first[1]


def test_a_figure_is_a_column_wide_and_its_text_can_be_read_and_searched(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    study = make_study((network(8), result(0, miou=0.5)), (network(9), result(1, miou=0.6)))
    figure = draw(pictures(study)[2])
    assert figure.get_figwidth() == 3.5
    texts = [t for t in figure.findobj(Text) if isinstance(t, Text) and t.get_text()]
    assert min(float(t.get_fontsize()) for t in texts) >= 7
    axes, legend = figure.axes[0], figure.axes[0].get_legend()
    assert legend is not None
    figure.draw_without_rendering()
    for text in (axes.title, axes.xaxis.label, *figure.texts, *legend.get_texts()):
        assert text.get_window_extent().x1 <= figure.bbox.x1 + 1, text.get_text()
    png, svg, pdf = save(figure, tmp_path, "x")
    assert png.read_bytes()[16:20] == (1050).to_bytes(4, "big")  # 3.5 inches at 300 dots
    assert "<text" in svg.read_text()
    assert "mIoU against latency" in svg.read_text()
    assert b"/FontFile2" in pdf.read_bytes()


def test_the_front_has_its_intervals_in_percent_and_the_axis_holds_them() -> None:
    ends = Ends(np.array([0.2, np.nan, 0.3]), np.array([0.45, np.nan, 0.9]))
    found = replace(picture([8, 16, 24], [0.3, 0.2, 0.6]), accuracies=ends)
    axes = draw(found).axes[0]
    (bars,) = [c for c in axes.collections if isinstance(c, LineCollection)]
    spans = [(segment[0][1], segment[1][1]) for segment in bars.get_segments()]
    assert np.allclose(spans, [(20, 45), (30, 90)])
    assert axes.get_ylim()[1] >= 90


SIZES = ("legend.fontsize", "axes.labelsize", "axes.titlesize", "xtick.labelsize")


def test_a_style_file_is_laid_over_ours_and_what_is_none_is_a_fault(tmp_path: Path) -> None:
    own = tmp_path / "own.mplstyle"
    own.write_text("figure.figsize: 7.2, 4.8\n")
    figure = draw(picture([8, 16], [0.3, 0.5]), style_of(own))
    assert figure.get_figwidth() == 7.2
    assert style_of(own)["xtick.labelsize"] == style_of()["xtick.labelsize"]
    own.write_text("".join(f"{key}: small\n" for key in SIZES))  # by its name, as matplotlib takes
    assert draw(picture([8, 16], [0.3, 0.5]), style_of(own)).texts[0].get_fontsize() == 6.2475
    for text in ("figure.figsize: wide\n", "no.such.key: 3\n", "nothing here\n"):
        own.write_text(text)
        with pytest.raises(InputError, match="--style"):
            style_of(own)
    with pytest.raises(InputError, match="--style"):
        style_of(tmp_path / "missing")
