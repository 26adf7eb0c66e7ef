"""One prediction from request to exit: photos are found, classified, shown, kept, sorted and explained."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prenda.bundle.format import DESCRIPTION, Bundle, checksum
from prenda.errors import PhotoError, UserError
from prenda.photos.find import Found, find
from prenda.photos.messages import message
from prenda.photos.preparation import Preparation
from prenda.prediction import models, outputs, pipeline
from prenda.prediction.answer import Answer, Judge
from prenda.prediction.explain import Explainer
from prenda.prediction.names import recorded
from prenda.prediction.outputs import Output
from prenda.prediction.pipeline import Outcome
from prenda.prediction.predictor import Predictor
from prenda.prediction.show import Show
from prenda.prediction.sorting import Sorter

STDIN = "-"


@dataclass(frozen=True)
class Shard:
    """Part `number` (from 1) of `count` parts; photos are dealt out in turn, in the order in which they are found."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard that `I/N` names.

        Raises:
            UserError: If it names none.
        """
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise UserError(f"--shard is {text!r}: give I/N with I from 1 to N, such as 1/8 … 8/8.")
        return cls(int(number), int(count))

    def output(self, path: Path) -> Path:
        """Return the file of this part: `answers.2-of-8.csv` for `answers.csv`."""
        return path.with_name(f"{path.stem}.{self.number}-of-{self.count}{path.suffix}")


@dataclass(frozen=True)
class Request:
    """What `prenda predict` is asked for; the attributes are its arguments.

    Attributes:
        photos: Photos, folders, globs, or `-` for paths on standard input.
        model: `champion`, the folder of a bundle or run, or the id or name of a run.
        labels: Language of the class names.
        top: Number of guesses of an answer.
        output: File of the answers.
        sort_into: Folder of one folder for each type.
        link: Sort by links instead of copies.
        shard: Part of the photos.
        explain: Folder of the explaining pictures.
    """

    photos: list[str]
    model: str = models.CHAMPION
    labels: str = "en"
    top: int = 2
    output: Path | None = None
    sort_into: Path | None = None
    link: bool = False
    shard: Shard | None = None
    explain: Path | None = None


@dataclass
class _Work:
    """The parts that a request is carried out with."""

    request: Request
    bundle: Bundle
    checksum: str  # of model.json, which holds those of the other files
    judge: Judge
    predictor: Predictor
    show: Show
    sorter: Sorter | None = field(init=False, default=None)
    explainer: Explainer | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        request, judge = self.request, self.judge
        if request.sort_into is not None:
            self.sorter = Sorter(request.sort_into, judge.labels, judge.unsure, request.link)
        if request.explain is not None:
            self.explainer = Explainer(request.explain, self.predictor, _preparation(self.bundle))


def classify(request: Request) -> int:
    """Classify photos; print a table and a summary. Return the number of photos that could not be read.

    Raises:
        UserError: If an argument is invalid, there is no model, or there is no photo.
    """
    _check(request)
    with tempfile.TemporaryDirectory(prefix="prenda-") as scratch:
        bundle = models.choose(request.model, Path(scratch))
        judge = Judge(bundle, request.labels, request.top)
        work = _Work(request, bundle, checksum(bundle.folder / DESCRIPTION), judge, Predictor(bundle), Show(judge.top))
    path = request.output if request.shard is None or request.output is None else request.shard.output(request.output)
    with contextlib.nullcontext() if path is None else outputs.opened(path, _origin(work)) as output:
        total = _count(work) if work.show.has_progress and STDIN not in request.photos else None
        with work.show.progress(total):
            _answer_all(work, output)
        if output is not None:
            output.finish(judge.top)
    _show_results(work, path)
    return work.show.failed


def _check(request: Request) -> None:
    if request.link and request.sort_into is None:
        raise UserError("--link makes links instead of copies: give --sort-into FOLDER too.")
    if request.output is not None:
        outputs.check(request.output)
    for name, folder in (("--sort-into", request.sort_into), ("--explain", request.explain)):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise UserError(f"{name} is {str(folder)!r}, which is a file: give the name of a folder.")


def _answer_all(work: _Work, output: Output | None) -> None:
    todo = _unanswered(work, output)
    for outcome in pipeline.predict(todo, work.predictor, _preparation(work.bundle)):
        answer = _placed(work, outcome.found.path, _answer(work, outcome))
        work.show.add(answer)
        if output is not None:
            output.add(answer.as_plain())
    if not work.show.total and work.request.shard is None:
        raise UserError(
            f"PHOTO is {' '.join(map(repr, work.request.photos))}, and there is no photo: name photos, or a folder or "
            "a pattern that holds some. Photos in the folder of --sort-into do not count."
        )


def _answer(work: _Work, outcome: Outcome) -> Answer:
    photo = recorded(outcome.found.path)
    if outcome.probabilities is None or outcome.logits is None:
        assert outcome.error is not None
        return work.judge.refusal(photo, outcome.error)
    return work.judge.answer(photo, outcome.probabilities, outcome.logits, outcome.warnings, outcome.novelty)


def _placed(work: _Work, photo: Path, answer: Answer) -> Answer:
    """Sort and explain an answered photo; return its answer, or an error if the photo has been deleted since."""
    if answer.error is not None:
        return answer
    try:
        if work.sorter is not None:
            work.sorter.place(photo, answer.garment if answer.unsure is None else None)
        if work.explainer is not None:
            work.explainer.explain(photo)
    except (FileNotFoundError, PhotoError):
        if photo.exists():
            raise
        return work.judge.refusal(answer.photo, message("deleted"))
    return answer


def _selected(work: _Work) -> Iterator[Found]:
    """Yield the photos of the request: those of its shard, without those that were sorted before."""
    shard, sorter = work.request.shard, work.sorter
    found = (each for each in find(work.request.photos) if sorter is None or not sorter.holds(each.path))
    for place, each in enumerate(found):
        if shard is None or place % shard.count == shard.number - 1:
            yield each


def _unanswered(work: _Work, output: Output | None) -> Iterator[Found]:
    """Yield the photos that an interrupted prediction has not answered; count the others."""
    for found in _selected(work):
        row = None if output is None else output.kept(recorded(found.path))
        if row is None:
            yield found
        else:
            work.show.count(unsure=row["unsure"] is not None, failed=row["error"] is not None)


def _count(work: _Work) -> int:
    return sum(1 for _ in _selected(work))


def _origin(work: _Work) -> dict[str, object]:
    """Return what must be the same for an interrupted prediction to be resumed."""
    request, shard = work.request, work.request.shard
    folders = {"--sort-into": request.sort_into, "--explain": request.explain}
    return {
        **{name: None if folder is None else recorded(folder) for name, folder in folders.items()},
        "model": work.checksum,
        "photos": [recorded(photo) for photo in request.photos],
        "--labels": request.labels,
        "--top": work.judge.top,
        "--shard": None if shard is None else [shard.number, shard.count],
    }


def _show_results(work: _Work, output: Path | None) -> None:
    request, model = work.request, work.bundle
    work.show.results(str(model.folder) if request.model == models.CHAMPION else request.model)
    for name, path in (("answers", output), ("sorted into", request.sort_into), ("explained in", request.explain)):
        if path is not None:
            work.show.place(name, str(path))


def _preparation(bundle: Bundle) -> Preparation:
    assert bundle.preparation is not None  # models.choose takes no other bundle
    return bundle.preparation
