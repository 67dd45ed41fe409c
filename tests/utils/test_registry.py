"""Registries: own parts, plug-ins as entry points, and broken packages."""

import sys

import pytest

from sngan import losses, models
from sngan.losses import LOSSES, LossPair
from sngan.methods import METHODS, named
from sngan.utils import consent
from sngan.utils.registry import Registry, accepted, fitted, plug_ins

GOOD = """
import torch
print("plug-in imported")
loss = (lambda real, fake: (fake - real).mean(), lambda fake: -fake.mean())
"""


def install(place, name, entries, module=""):
    """Write the files of an installed package."""
    info = place / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)
    (place / f"{name}.py").write_text(module)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Packages: one that works, one whose code is broken, and one whose metadata are."""
    site = tmp_path / "site"
    install(
        site, "plug_good", "[sngan.losses]\ngood = plug_good:loss\nhinge = plug_good:no\n", GOOD
    )
    install(site, "plug_bad", "[sngan.losses]\nbad = plug_bad:loss\n", "raise OSError('disk\\nx')")
    install(site, "plug_torn", "[sngan.losses\n===\n", "")
    monkeypatch.syspath_prepend(str(site))
    plug_ins.cache_clear()
    yield site
    plug_ins.cache_clear()
    for name in ("plug_good", "plug_bad"):
        sys.modules.pop(name, None)


def test_a_plug_in_is_imported_when_its_name_is_used(installed, capsys):
    import torch

    assert "good" in LOSSES.names()
    assert "good" not in LOSSES
    assert named("sn", loss="good").loss == "good"
    assert capsys.readouterr().out == ""
    pair = LOSSES["good"]
    assert capsys.readouterr().out == "plug-in imported\n"
    scores = torch.tensor([2.0, 0.0])
    assert pair.critic(scores, scores + 1) == 1
    # the engine gives the real scores too
    assert pair.generator(scores, scores) == -1
    assert LOSSES["good"] is pair
    assert capsys.readouterr().out == ""


def test_sngans_own_part_comes_before_a_plug_in_of_its_name(installed):
    assert LOSSES["hinge"] is losses.hinge


def test_a_broken_plug_in_names_itself_and_stops_nothing_else(installed):
    expected = (
        r"^method.loss: the plug-in 'bad' of the package plug_bad cannot be imported from "
        r"plug_bad:loss \(OSError: disk\)$"
    )
    with pytest.raises(ValueError, match=expected):
        LOSSES["bad"]
    assert isinstance(LOSSES["good"], LossPair)


def test_the_current_folder_holds_no_plug_ins(tmp_path, monkeypatch):
    install(tmp_path, "plug_here", "[sngan.losses]\nhere = plug_here:loss\n", GOOD)
    monkeypatch.chdir(tmp_path)
    for entry in ("", str(tmp_path), "."):
        monkeypatch.setattr(sys, "path", [entry, *sys.path])
        plug_ins.cache_clear()
        assert "here" not in LOSSES.names()
    plug_ins.cache_clear()


@pytest.mark.parametrize("registry", [LOSSES, METHODS, models.MODELS])
def test_an_object_needs_consent_each_time(registry):
    before = consent.consent()
    consent.restore(consent.Consent())
    try:
        with pytest.raises(consent.NoConsentError):
            registry["math:sqrt"]
        LOSSES["hinge"]
        consent.allow(["helpers.own_parts:PointCritic"])
        small = Registry("none", {}, argument="x", convert=lambda part, _: part)
        assert small["helpers.own_parts:PointCritic"].__name__ == "PointCritic"
        consent.restore(consent.Consent())
        with pytest.raises(consent.NoConsentError):
            small["helpers.own_parts:PointCritic"]
    finally:
        consent.restore(before)


@pytest.mark.parametrize(
    "line",
    [
        ["--model", "a.b:c"],
        ["--model=a.b:c"],
        ["--set", "model=a.b:c"],
        ["--set=model=a.b:c"],
        ["--callbacks", "x:y,a.b:c"],
        ["--methods=sn, a.b:c"],
    ],
)
def test_all_forms_of_a_command_line_give_consent(line):
    before = consent.consent()
    consent.restore(consent.Consent())
    try:
        consent.allow_words(line)
        consent.require_allowed("a.b:c", argument="x")
        for other in ("a.b:d", "b:c", "a:c", "a.b", "c"):
            with pytest.raises(consent.NoConsentError, match=rf"got none for '{other}'"):
                consent.require_allowed(other, argument="x")
    finally:
        consent.restore(before)


def test_functions_get_what_they_accept():
    offered = {"a": 1, "b": 2}
    assert accepted(lambda x, *, b: None, offered) == {"b": 2}
    assert accepted(lambda **all: None, offered) == offered
    assert accepted(lambda a, /, b=0: None, offered) == {"b": 2}
    assert accepted(min, offered) == {}
    assert fitted(lambda x, y: x + y, 3, "f")(1, 2, 9) == 3
    assert fitted(lambda *given: sum(given), 3, "f")(1, 2, 9) == 12
    with pytest.raises(ValueError, match=r"^f: expected a function, got 3"):
        fitted(3, 2, "f")
