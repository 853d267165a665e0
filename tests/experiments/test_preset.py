"""Presets: the one that comes with the package, and a user's own."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml

from trunkline.errors import DocumentError
from trunkline.experiments.preset import SET_A_FILE, load_preset


def changed(path, old, new):
    """A copy of set A with one text replaced, as a user would make it."""
    text = SET_A_FILE.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


def test_set_a_is_the_papers_section_vii():
    """The values that the paper gives, as the figures need them."""
    preset = load_preset()
    assert preset.models.bottom == 50
    assert preset.models.general == 25
    assert preset.sweeps.tasks == (60, 70, 80, 90, 100)
    assert preset.sweeps.bandwidth_hz == (10e6, 50e6, 100e6, 200e6, 300e6, 400e6)
    assert preset.point.bandwidth_hz in preset.sweeps.bandwidth_hz
    assert [n.network for n in preset.networks] == ["resnet18", "resnet34", "resnet50"]
    assert preset.slot_s == 0.01


def test_every_value_of_set_a_says_where_it_comes_from():
    """Each line with a value carries "paper" or "calibrated", itself or at the head of its part."""
    covered = False
    for line in SET_A_FILE.read_text().splitlines():
        body, _, comment = line.partition("#")
        said = bool(re.search(r"\b(paper|calibrated)\b", comment))
        if re.match(r"[a-z]", body):  # a part begins
            covered = said
        if re.search(r": *[^ ]", body) and not body.startswith(("format", "name")):
            assert said or covered, line


def test_a_changed_copy_is_another_setting(tmp_path):
    """One number changed changes the digest; another name alone does not."""
    faster = load_preset(changed(tmp_path / "a.yaml", "2.15e+9", "4.3e9"))
    assert faster.loading[0].bytes_per_s == 4.3e9
    assert faster.digest != load_preset().digest
    renamed = load_preset(changed(tmp_path / "b.yaml", "name: set-a", "name: mine"))
    assert (renamed.name, renamed.digest) == ("mine", load_preset().digest)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("network: resnet34", "network: vgg", r"\$.networks\[1\].network: 'vgg' is none of"),
        ("network: resnet34", "network: resnet18", r"\$.networks\[1\].network: .* twice"),
        ("tasks: 80", "tasks: 0", r"\$.point.tasks: "),
        ("slot_s: 0.010", "slot_s: -1", r"\$.slot_s: "),
        ("channels:", "canals:", r"canals"),
        ("share: 0.85 ", "share: 1.85 ", r"\$.point.share: .*1.85"),
    ],
)
def test_faults_are_named(tmp_path, old, new, message):
    """A preset that cannot be used says where."""
    with pytest.raises(DocumentError, match=message):
        load_preset(changed(tmp_path / "mine.yaml", old, new))


def test_a_dict_will_do():
    """A preset can be made in Python."""
    document = yaml.safe_load(SET_A_FILE.read_text())
    document = {**document, "small": {"models": 3, "tasks": 6, "deadline_s": 0.1}}
    document["cell"]["power_w_per_hz"] = 5e-9
    assert load_preset(document).small.models == 3


def test_simulations_need_no_torch():
    """Presets and the problems made from them are there without torch."""
    code = (
        "import sys, trunkline.experiments.scenario as s; s.paper_problem(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
