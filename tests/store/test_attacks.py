"""Every file and store in the attacks folder is told for the reason it was made for."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from attacks.generate import Attack, attacks, stores, write
from trunkline.cli import main
from trunkline.errors import TrunklineError, WeightsFormatError
from trunkline.store import Store
from trunkline.store.paths import open_weights


@pytest.mark.parametrize("attack", attacks(), ids=lambda attack: attack.name)
def test_an_attack_is_refused_and_leaves_nothing(
    attack: Attack, store: Store, tmp_path: Path
) -> None:
    """An attack is refused with its own reason, and the store holds no more than before."""
    path = write(attack, tmp_path)
    with pytest.raises(TrunklineError) as refused:
        store.add("model", path)
    assert attack.says in str(refused.value)
    assert store.names() == []
    assert list((store.path / "blobs" / "sha256").iterdir()) == []


def test_an_attack_ends_the_command_with_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the command line an attack gives one line on standard error and exit status 2."""
    attack = next(one for one in attacks() if one.name == "overlap.safetensors")
    path = write(attack, tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["import", str(path), "--store", str(tmp_path / "store")])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("attack", stores(), ids=lambda attack: attack.name)
def test_a_lying_store_hides_and_loses_nothing(
    attack: Attack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """verify tells the lie; the other model is listed and read; gc, if it can tell at all what is
    needed, keeps what that needs; no command ends in a traceback or passes on an escape."""
    store = Store.open(write(attack, tmp_path))
    problems = store.verify().problems
    assert any(attack.says in one.problem for one in problems), problems
    found = store.inventory()
    assert [model.name for model in found.models] == ["good"]
    assert set(found.damaged) == {"bad"}
    with suppress(TrunklineError):
        store.gc()
    assert store.verify(["good"]).ok
    for command in (["list"], ["show"], ["verify"], ["trust"], ["gc"], ["remove", "bad"], ["gc"]):
        with pytest.raises(SystemExit) as ended:
            main([*command, "--store", str(store.path)])
        assert ended.value.code in (0, 1, 2), command
        said = "".join(capsys.readouterr())
        assert "\x1b" not in said
        assert "Traceback" not in said
    assert store.names() == ["good"]
    assert store.verify(["good"]).ok


def test_the_message_says_what_to_do_with_a_pickle(tmp_path: Path) -> None:
    """Who brings a pickle is told how to convert it."""
    path = tmp_path / "model.pt"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(WeightsFormatError, match="save_file"):
        open_weights(path)
