"""Tables and pictures of an ablation, drawn from the numbers in its study alone."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import network, result
from matplotlib.text import Text

from hrnet_search.parts import Parts
from hrnet_search.report.ablation.plots import classes, forest, interactions, write_ablation_plots
from hrnet_search.report.ablation.tables import ablation_lines, latex, markdown, write_ablation
from hrnet_search.report.page.gather import gather
from hrnet_search.report.page.render import page_html
from hrnet_search.report.style import style_of, styled
from hrnet_search.report.summary import summary
from hrnet_search.store.ablation import (
    AblationRecord,
    ArmRow,
    ClassDifference,
    EffectRow,
    Missing,
)
from hrnet_search.store.study import Study

MakeStudy = Callable[..., Study]


def arm(name: str, mean: float | None, missing: tuple[Missing, ...] = ()) -> ArmRow:
    seeds = tuple(None if mean is None or m in {x.seed for x in missing} else mean
                  for m in range(6))  # fmt: skip
    return ArmRow(
        name=name, match="none", levels=("SUM",), architecture=f"hr-{name}", schedule="sc-0",
        widths="18/36/72/144", params=3_940_000, macs=9_000_000_000, activations=10, ratio=1.0,
        note="", mean=mean, sd=0.01, miou=seeds, latency_ms=seeds, missing=missing,
    )  # fmt: skip


def effect(name: str, mean: float | None, verdict: str, **changes: object) -> EffectRow:
    ends = (None, None) if mean is None else (mean - 0.01, mean + 0.01)
    row = EffectRow(
        name=name, kind="arm", match="none", changed=(("fuse", name),), arms=(name,),
        seeds=(0, 1, 2, 3, 4, 5), mean=mean, sd=0.01, low=ends[0], high=ends[1],
        image_low=ends[0], image_high=ends[1], p=0.03125, p_family=0.0625, p_equivalent=0.5,
        verdict=verdict, note="", params=-54_000.0, macs=0.0, latency_ms=-1.5, latency_low=-2.0,
        latency_high=-1.0,
        classes=(ClassDifference("sky", mean, *ends), ClassDifference("road", None, None, None)),
    )  # fmt: skip
    return replace(row, **changes)  # type: ignore[arg-type]


RECORD = AblationRecord(
    name="made_up", design="one-factor", resolution=0, aliases=(), factors=("fuse",),
    reference=("SUM",), seeds=(0, 1, 2, 3, 4, 5), alpha=0.05, margin=0.005, trainings=24, ended=22,
    noise=0.004, least_p=0.03125, detectable=0.008, class_names=("sky", "road"),
    arms=(
        arm("reference", 0.5),
        arm("a_b=1&2%", 0.52, (Missing(2, "failed: the loss is nan | $x$"),)),
        arm("gone", None, tuple(Missing(s, "not run yet") for s in range(6))),
    ),
    effects=(
        effect("a_b=1&2%", 0.02, "better", seeds=(0, 1, 3, 4, 5), note="of 5 of 6 seeds"),
        effect("worse", -0.02, "worse"),
        effect("same", 0.0001, "equivalent"),
        effect("open", 0.004, "undecided"),
        effect("gone", None, "undecided", seeds=()),
    ),
    notes=("same: within 2% of the reference's MACs as it is",),
)  # fmt: skip


def factorial() -> AblationRecord:
    pairs = (("a", "1"), ("b", "2"))
    effects = (
        effect("a=1", 0.01, "better", kind="main effect", changed=pairs[:1]),
        effect("b=2", -0.01, "worse", kind="main effect", changed=pairs[1:]),
        effect("a=1 x b=2", 0.005, "undecided", kind="interaction", changed=pairs),
    )
    aliases = (("a x b", "c"),)
    return replace(
        RECORD,
        design="fractional",
        resolution=3,
        aliases=aliases,
        effects=effects,
        factors=("a", "b"),
    )


def test_a_study_gives_its_numbers_back(make_study: MakeStudy) -> None:
    study = make_study(ablation=RECORD)
    assert study.notes.ablation == RECORD


def test_every_table_and_picture_is_written(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(ablation=RECORD)
    written = {path.name for path in write_ablation(study, tmp_path / "out", Parts())}
    assert written == {
        "ablation.csv", "ablation.json", "ablation.md", "ablation.tex",
        *(f"{name}.{kind}" for name in ("forest", "classes") for kind in ("png", "svg", "pdf")),
    }  # fmt: skip
    assert all((tmp_path / "out" / name).stat().st_size > 0 for name in written)


def test_the_page_of_an_ablation_sends_to_its_verdicts(make_study: MakeStudy) -> None:
    html = page_html(gather(make_study(ablation=RECORD))).decode()
    assert 'href="ablation.md"' in html
    assert "Ranking:" not in html


def test_a_study_without_an_ablation_has_none(make_study: MakeStudy, tmp_path: Path) -> None:
    assert write_ablation(make_study(), tmp_path / "out", Parts()) == ()
    assert not (tmp_path / "out").exists()


def test_csv_and_json_hold_every_difference(make_study: MakeStudy, tmp_path: Path) -> None:
    write_ablation(make_study(ablation=RECORD), tmp_path / "out", Parts())
    text = (tmp_path / "out" / "ablation.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["name"] for row in rows] == [e.name for e in RECORD.effects]
    assert float(rows[0]["mean"]) == 0.02
    assert rows[0]["seeds"] == "0 1 3 4 5"
    assert rows[4]["mean"] == ""
    held = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert held["arms"][1]["missing"] == [{"seed": 2, "why": "failed: the loss is nan | $x$"}]


def test_markdown_says_what_is_missing_and_how_it_was_counted() -> None:
    text = markdown(RECORD)
    assert "22 of 24 trainings ended" in text
    assert "| worse | -2.00 | -3.00 to -1.00 | 0.031 | 0.062 | worse | 6/6 |" in text
    assert "missing: a_b=1&2%, seeds 2: failed: the loss is nan | $x$" in text
    assert "missing: gone, seeds 0, 1, 2, 3, 4, 5: not run yet" in text
    assert "counts only seeds that all of its arms have" in text
    assert "within 0.5 points by two one-sided t tests" in text
    assert "of 5 of 6 seeds" in text
    rows = [line for line in text[: text.index("## Arms")].splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {11}


def test_verdicts_of_an_unfinished_ablation_are_called_interim() -> None:
    whole = replace(RECORD, ended=24)
    for written in (markdown, latex, lambda one: "\n".join(ablation_lines(one))):
        assert "interim verdict" in written(RECORD)
        assert "verdicts are interim" in written(RECORD)
        assert "interim" not in written(whole)


def test_latex_is_a_table_that_compiles_by_the_look_of_it() -> None:
    text = latex(RECORD)
    body = text[text.index("\\toprule") : text.index("\\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + len(RECORD.effects)
    columns = len(text.split("\\begin{tabular}{")[1].split("}")[0])
    assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {columns}
    assert r"a\_b=1\&2\%" in body
    assert not re.search(r"(?<!\\)[%$#_]", body)
    after = text[text.index("\\end{tabular}") :].splitlines()[1:]
    assert all(line.startswith("%") for line in after)


@pytest.mark.parametrize(("alpha", "said"), [(0.05, "95%"), (0.025, "97.5%"), (0.001, "99.9%")])
def test_intervals_are_called_what_they_are(alpha: float, said: str) -> None:
    record = replace(RECORD, alpha=alpha)
    assert f"{said} interval" in markdown(record, [])
    assert f"{said.replace('%', chr(92) + '%')} interval" in latex(record)


def test_arms_that_ran_under_several_versions_are_a_remark_of_every_table(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    trials = [(network(n), result(n, versions=(("torch", f"2.1{n}.0"),))) for n in (2, 3)]
    study = make_study(*trials, ablation=RECORD)
    said = "torch 2.12.0 (1 trial, the first is #0); torch 2.13.0 (1 trial, the first is #1)"
    write_ablation(study, tmp_path / "out", Parts())
    for text in (summary(study), *((tmp_path / "out" / f"ablation.{kind}").read_text()
                                   for kind in ("md", "tex"))):  # fmt: skip
        assert said in text


def test_the_terminal_gets_the_answer(make_study: MakeStudy) -> None:
    text = summary(make_study(ablation=RECORD))
    assert "made_up: one-factor" in text
    for line in ablation_lines(RECORD):
        assert line in text


def test_the_terminal_names_the_page_as_it_does_for_a_search(make_study: MakeStudy) -> None:
    study = make_study(ablation=RECORD)
    lines = summary(study).splitlines()
    assert lines[-2] == f"page:  {study.folder / 'report' / 'report.html'}"
    assert lines[-1].startswith("files: ")


def test_one_difference_of_a_kind_has_no_plural() -> None:
    rows = (RECORD.effects[0], *(replace(RECORD.effects[0], kind="main effect"),) * 2)
    text = "\n".join(ablation_lines(replace(RECORD, effects=rows)))
    assert "all of one kind (1 arm, 2 main effects)" in text


def test_what_rounds_to_nothing_has_no_minus(make_study: MakeStudy) -> None:
    nothing = effect("nothing", -0.00001, "undecided", low=-0.00002, high=0.0, latency_ms=-0.001,
                     latency_low=-0.002, image_low=-0.00001)  # fmt: skip
    record = replace(RECORD, effects=(nothing,))
    for text in ("\n".join(ablation_lines(record)), markdown(record), latex(record)):
        assert "+0.00 to +0.00" in text
        assert "-0.00" not in text


@pytest.mark.slow
def test_equal_records_are_equal_pictures(tmp_path: Path) -> None:
    first = write_ablation_plots(factorial(), tmp_path / "a", Parts())
    again = write_ablation_plots(factorial(), tmp_path / "b", Parts())
    assert {p.name for p in first} >= {"interactions.png", "interactions.svg", "forest.svg"}
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]


def test_the_forest_has_a_row_and_colour_for_each_verdict() -> None:
    drawn = [e for e in RECORD.effects if e.mean is not None]
    axes = forest(RECORD, drawn).axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == [e.name for e in drawn]
    points = [line for line in axes.lines if np.size(line.get_xdata()) == 1]
    colours = {line.get_color() for line in points}
    assert len(colours) == len({e.verdict for e in drawn})
    band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (band.x0, band.x1) == pytest.approx((-0.5, 0.5))


def test_pictures_obey_the_style_and_nothing_leaves_them(tmp_path: Path) -> None:
    """By ours one column of a paper with text of 7 points and more; a person's file over it."""
    long = "stage4_fuse=CAT, stage3_modules=1, lowest_branch=3 at equal MACs"
    record = replace(RECORD, effects=(replace(RECORD.effects[0], name=long), *RECORD.effects[1:]))
    drawn = [e for e in record.effects if e.mean is not None]
    own = tmp_path / "own.mplstyle"
    own.write_text("figure.figsize: 7.2, 4.8\nfont.size: 10\nxtick.labelsize: 9\n"
                   "axes.prop_cycle: cycler('color', ['112233', 'AABBCC'])\n")  # fmt: skip
    for style, width, tick in ((style_of(), 3.5, 7.0), (style_of(own), 7.2, 9.0)):
        pairs = factorial()
        with styled(style):
            figures = [forest(record, drawn), classes(record, drawn)]
            figures += [interactions(pairs, pairs.effects)]
            for figure in figures:
                figure.draw_without_rendering()
        for figure in figures:
            assert figure.get_figwidth() == width
            texts = [t for t in figure.findobj(Text) if isinstance(t, Text) and t.get_text()]
            assert min(float(t.get_fontsize()) for t in texts) >= 7
            axes = figure.axes[0]
            assert axes.get_xticklabels()[0].get_fontsize() == tick
            for text in (axes.title, axes.xaxis.label, *figure.texts, *axes.get_yticklabels()):
                box = text.get_window_extent()
                assert box.x0 >= -1, text.get_text()
                assert box.x1 <= figure.bbox.x1 + 1, text.get_text()
        colours = {str(line.get_color()) for line in figures[0].axes[0].lines}
        assert ({"#112233", "#AABBCC"} <= colours) == (width == 7.2)
    write_ablation_plots(record, tmp_path / "written", Parts(), style_of(own))
    png = (tmp_path / "written" / "forest.png").read_bytes()
    assert png[16:20] == (2160).to_bytes(4, "big")  # 7.2 inches at 300 dots


def test_aliased_interactions_are_hatched() -> None:
    record = factorial()
    axes = interactions(record, record.effects).axes[0]
    assert [patch.get_hatch() for patch in axes.patches] == ["///"]
    clear = replace(record, aliases=())
    assert not interactions(clear, clear.effects).axes[0].patches
    shown = [text.get_text() for text in axes.texts]
    assert sorted(shown) == ["+0.5", "+1.0", "-1.0"]


def test_classes_mark_intervals_that_leave_out_zero() -> None:
    drawn = [e for e in RECORD.effects if e.mean is not None]
    axes = classes(RECORD, drawn).axes[0]
    assert len(axes.lines) == 2
    assert len(axes.texts) == len(drawn)


def test_hostile_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    hostile = replace(RECORD.effects[0], name="$\\frac{x</svg>\n\\end{tabular} é")
    record = replace(RECORD, name="$x^", effects=(hostile,))
    assert write_ablation_plots(record, tmp_path, Parts())
    lines = latex(record).splitlines()
    end = lines.index("\\end{tabular}")
    assert not any("\\frac" in line for line in lines[:end])
    assert all(line.startswith("%") for line in lines[end + 1 :])


def test_a_latency_difference_that_is_noisy_is_marked_and_has_no_interval() -> None:
    noisy = effect("loud", 0.02, "better", latency_low=None, latency_high=None, latency_noisy=True)
    record = replace(RECORD, effects=(noisy, effect("calm", 0.01, "better")))
    for text in (markdown(record), "\n".join(ablation_lines(record)), latex(record)):
        assert "-1.50 noisy" in text
        assert "-1.50 [-2.00, -1.00]" in text
        assert "say nothing of which arm is faster" in text
        assert "(loud)" in text


def test_doubts_about_latencies_are_in_the_summary_of_an_ablation(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    study = make_study((network(6), result(0)), ablation=RECORD)
    assert "latency: no A/A check shows that latencies repeat" in summary(study)
    write_ablation(study, tmp_path, Parts())
    assert "no A/A check shows" in (tmp_path / "ablation.md").read_text()
