"""Push of a run to the Hugging Face hub: generator, settings, records, pictures and a card."""

import tempfile
from pathlib import Path

from sngan.runs.export import export
from sngan.runs.hub import CARD, hub, repository
from sngan.runs.layout import RunFolder
from sngan.runs.model_file import settings_to_share, write_model_file
from sngan.runs.run import Run, load
from sngan.runs.saved_grids import read_inside, saved_grids
from sngan.tasks.sharing.card import card_of
from sngan.utils.checks import require
from sngan.utils.plain import to_yaml

_PICTURE = "samples.png"
_IMAGES, _POINTS = 64, 2000


def push(reference: str | Path, target: str, *, private: bool = False) -> str:
    """Put a run on the hub, where ``hf:USER/NAME`` names it; return its address.

    The hub gets the generator, the settings without what tells about this machine, the records,
    the pictures of the training, and a model card. Checkpoints stay here. A repository that exists
    gets a new commit.

    Parameters
    ----------
    reference
        The run.
    target
        ``hf:USER/NAME``.
    private
        A new repository is visible to its owner only.

    Raises
    ------
    ValueError
        If there is no such run, the name has another form, the package or the token is missing, or
        the hub refuses or does not answer.
    """
    name, revision = repository(target, "target")
    require(revision is None, "target", expected="hf:USER/NAME without a revision", got=target)
    with hub("target", target) as client:
        token: str | None = client.get_token()
    sign_in = "a token of the hub, by `hf auth login` or in HF_TOKEN"
    require(token is not None, "target", expected=sign_in, got="none")
    run = load(reference)
    with tempfile.TemporaryDirectory() as place:
        stage = Path(place)
        _write_files(run, stage, target)
        with hub("target", target) as client:
            api = client.HfApi(library_name="sngan")
            address = api.create_repo(name, private=private, exist_ok=True)
            api.upload_folder(repo_id=name, folder_path=stage, commit_message="A run of sngan")
    return str(address)


def _write_files(run: Run, stage: Path, target: str) -> None:
    """Write everything that the hub gets into a folder."""
    fresh = RunFolder(stage)
    write_model_file(run.generator, fresh.generator, run.config)
    fresh.config.write_text(to_yaml(settings_to_share(run.config)), encoding="utf-8")
    is_of_images = len(run.config.model.sample_shape or ()) == 3
    export(run, stage / _PICTURE, n=_IMAGES if is_of_images else _POINTS)
    card = card_of(run, name=target.rpartition("/")[2], place=target)
    (stage / CARD).write_text(card.markdown(picture=_PICTURE), encoding="utf-8")
    if not run.folder.is_dir():
        return
    names = [name for _, name in saved_grids(run.folder)]
    fresh.samples.mkdir()
    for name in [RunFolder.METRICS, *names]:
        content = read_inside(run.folder, name)
        if content is not None:
            (stage / name).write_bytes(content)
