"""A drawing shows every branch, and marks what is not the base's."""

from __future__ import annotations

from dataclasses import replace

from made_up import network

from hrnet_search.arch.architecture import OCR, Architecture
from hrnet_search.report.page.drawing import draw_network

BASE = network(18)


def changed(svg: str) -> int:
    return svg.count('rect class="changed"')


def test_every_branch_of_every_module_is_a_box() -> None:
    first, second, third, fourth = BASE.stages
    svg = draw_network(Architecture((first, second, replace(third, modules=2), fourth)), None)
    assert svg.count("<rect") == 1 + 2 + 2 * 3 + 4
    assert changed(svg) == 0
    assert "stage 3 x2" in svg
    assert "stage 1 bottleneck" in svg


def test_a_width_that_all_share_is_no_change_but_blocks_are() -> None:
    first, second, third, fourth = network(24).stages
    assert changed(draw_network(network(24), BASE)) == 0
    deeper = Architecture((first, second, third, replace(fourth, blocks=(1, 2, 1, 1))))
    assert changed(draw_network(deeper, BASE)) == 1
    wider = Architecture((first, second, third, replace(fourth, channels=(24, 48, 96, 200))))
    assert changed(draw_network(wider, BASE)) == 1
    narrow = Architecture((replace(first, channels=(8,)), second, third, fourth))
    assert changed(draw_network(narrow, BASE)) == 1


def test_fusion_and_dropped_branches_are_marked() -> None:
    first, second, third, _ = BASE.stages
    svg = draw_network(Architecture((first, replace(second, fuse="CAT"), third, third)), BASE)
    assert 'class="fuse cat changed"' in svg
    assert svg.count("dropped") == 1


def test_many_modules_are_told_by_number() -> None:
    first, second, third, fourth = BASE.stages
    svg = draw_network(Architecture((first, second, third, replace(fourth, modules=40))), BASE)
    assert svg.count("<rect") == 1 + 2 + 3 + 5 * 4
    assert 'class="stage changed"' in svg
    assert "stage 4 x40" in svg


def test_an_ocr_head_is_drawn_with_its_widths_and_marked_where_the_base_has_another() -> None:
    ocr = replace(BASE, head=OCR, mid_channels=64, key_channels=32)
    svg = draw_network(ocr, BASE)
    assert "OCR head" in svg
    assert "64 / 32" in svg
    assert changed(svg) == 1
    assert changed(draw_network(ocr, ocr)) == 0
    assert changed(draw_network(replace(ocr, key_channels=16), ocr)) == 1
    gone = draw_network(BASE, ocr)
    assert gone.count("dropped") == 1
    assert "OCR" not in draw_network(BASE, BASE)


def test_no_text_leaves_the_picture() -> None:
    first, second, third, fourth = BASE.stages
    odd = Architecture((replace(first, block="<script>"), second, third, fourth), head='"><b>')
    svg = draw_network(odd, None)
    assert "<script>" not in svg
    assert "<b>" not in svg
