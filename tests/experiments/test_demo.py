"""The demo's steps."""

import shutil
from collections import namedtuple

import pytest
import torch

from trunkline.errors import InputError
from trunkline.experiments import demo, digits
from trunkline.experiments.burst import draw_burst
from trunkline.store import Store


def test_a_folder_with_anything_else_in_it_is_refused(tmp_path):
    """The demo writes into new, empty or its own folders only."""
    mine = demo.open_folder(tmp_path / "new" / "demo")
    (mine / "something").write_text("kept")
    assert demo.open_folder(mine.path) == mine
    assert (mine / "something").read_text() == "kept"
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="not empty"):
        demo.open_folder(other)
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]
    with pytest.raises(InputError, match=r"thesis\.tex"):
        demo.open_folder(other / "thesis.tex")


def test_too_little_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    """The message names the place, what is needed, what is free, and `--quick` where it helps."""
    folder = demo.open_folder(tmp_path / "demo")
    store = Store.open(folder.store, create=True)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10e9, 9.4e9, 0.6e9))
    demo.check_space(folder, store, demo.QUICK)
    with pytest.raises(InputError, match=r"GB to write and only 0\.6 GB .* --quick") as error:
        demo.check_space(folder, store, demo.FULL)
    assert str(folder.path) in str(error.value)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10e9, 10e9, 1e6))
    with pytest.raises(InputError, match=r"another place with --dir$"):
        demo.check_space(folder, store, demo.QUICK)


def test_the_full_demo_stores_twelve_digits_variants_and_thirty_random_ones():
    """What the issue asks of the demo."""
    assert len(digits.TASKS) * demo.FULL.variants_per_task >= 12
    assert 3 * demo.FULL.per_network == 30
    assert demo.FULL.deadline_share == 0.6
    assert 0 in demo.FULL.depths  # full fine-tuning, to compare with
    assert demo.QUICK.trainings < demo.FULL.trainings / 4


def test_digits_users_send_held_out_images_and_their_class_is_known(digits_data, small_study):
    """Every digits task has an image of its model's task with the right class; the others get
    noise; the same seed gives the same."""
    models = {v.name: v for v in small_study.variants}
    stock = demo.Stock(models, {"resnet18-random-00": None}, [], [])
    tasks = draw_burst(demo.upload_bits(stock), 40)
    inputs = demo.draw_inputs(stock, digits_data, tasks)
    for task in tasks:
        image = inputs.tensors[task.id]
        if task.model in models:
            held_out = digits_data.held_out.of(models[task.model].task)
            same = (held_out.images == image).flatten(1).all(1)
            assert inputs.expected[task.id] in held_out.classes[same]
            assert task.upload_bits == 64 * 8  # one byte a pixel
        else:
            assert task.id not in inputs.expected
            assert image.shape == (3, 32, 32)
            assert task.upload_bits == 3072 * 8
    again = demo.draw_inputs(stock, digits_data, tasks)
    assert all(torch.equal(again.tensors[k], v) for k, v in inputs.tensors.items())
