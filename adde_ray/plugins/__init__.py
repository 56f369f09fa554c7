"""Parts of your own, by name: decorators for a module that `[plugins]` in a config, or `--plugin`, names.

    from adde_ray.plugins import register_selector

    @register_selector("mine")
    def mine(candidates, size, *, redundancy, rng):
        return candidates.score.argsort()[::-1][:size]

Then `select.selector = "mine"`. A name that is taken is refused (`UserError`). A part decides by what it is given
alone: the same arguments give the same result, in whatever process, or a run that was killed would not go on as it
began. `adde_ray.testing` has a check for every kind. Each decorator gives back what it is laid over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from adde_ray.errors import UserError

if TYPE_CHECKING:
    from adde_ray.config.data import Section

Part = TypeVar("Part", bound=Callable[..., Any])


def register_uncertainty(name: str, *, of_members: bool = False, multi: bool = False) -> Callable[[Part], Part]:
    """`select.uncertainty`. A function: (n, C) calibrated probabilities → (n,) in [0, 1], 1 = most uncertain.

    of_members: it takes (n, K, C), those of the K members of `train.ensemble`, instead. multi: it is for multi-label
    tasks, where each of the C is a question by itself; a term for both is registered twice.
    """
    from adde_ray.methods.query import multilabel, terms

    def add(part: Part) -> Part:
        (multilabel if multi else terms).UNCERTAINTY.register(name)(part)
        if of_members:
            terms.OF_MEMBERS.add(name)
        return part

    return add


def register_diversity(name: str) -> Callable[[Part], Part]:
    """`select.diversity`. A function: `terms.CandidateBatch` of n candidates → (n,) in [0, 1], 1 = adds most.

    A row's value must not depend on the rows beside it: large pools come in pieces.
    """
    from adde_ray.methods.query.terms import DIVERSITY

    return DIVERSITY.register(name)


def register_selector(
    name: str, *, uses_score: bool = True, from_all: bool = False, by_length: bool = False
) -> Callable[[Part], Part]:
    """`select.selector`. A function (`selectors.Selector`): `selectors.Candidates`, size, `redundancy=`, `rng=` →
    up to `size` distinct rows, best first, all there are where these are fewer.

    uses_score: it looks at `candidates.score`. from_all: a shortlist of the best scores would not do, so it is shown
    all of a pool in memory and a random sample of a larger one; so is whatever does not look at the score. by_length:
    it looks at `candidates.length` and `representativeness`, which else are not worked out.
    """
    from adde_ray.methods.query import selectors

    def add(part: Part) -> Part:
        selectors.SELECTORS.register(name)(part)
        for belongs, names in (
            (not uses_score, selectors.WHATEVER_SCORE),
            (not uses_score or from_all, selectors.FROM_ALL),
            (by_length, selectors.BY_LENGTH),
        ):
            names.add(name) if belongs else names.discard(name)
        return part

    return add


def register_generator(name: str, *, modalities: tuple[str, ...]) -> Callable[[Part], Part]:
    """`generate.generator`. A class or function: `config.Generate` → a `generators.Generator` with `fit` and `sample`.

    modalities: what it makes, of "image" and "vector". It is built anew in every generator actor: what `fit` gives is
    all that travels.
    """
    from adde_ray.methods.synthesis import generators

    def add(part: Part) -> Part:
        if not modalities or not set(modalities) <= {"image", "vector"}:
            raise UserError("are no modalities of a generator", where=name, value=modalities, remedy="image, vector")
        generators.GENERATORS.register(name)(part)
        generators.MAKES[name] = tuple(modalities)
        return part

    return add


def register_encoder(name: str) -> Callable[[Part], Part]:
    """`encoder.name`. A class (`encoders.Encoder`) built with `config.Encoder` and the modality, with `fit`, `encode`,
    `save`, `load`, and `modalities`, a class attribute. It stays frozen: `train.mode` is "head".
    """
    from adde_ray.methods.encoders import ENCODERS

    return ENCODERS.register(name)


def register_learner(name: str) -> Callable[[Part], Part]:
    """`train.learner`. A function: dimensions of the features, number of classes, `config.Train` → `learner.Network`,
    with as many heads as `learner.num_heads` says. Weights are drawn by torch's own generator, which is seeded.
    """
    from adde_ray.methods.model.learner import LEARNERS

    return LEARNERS.register(name)


def register_quality(name: str) -> Callable[[Part], Part]:
    """`quality_control.models`. A function: (n,) class rows to be learned, seed → a scikit-learn classifier."""
    from adde_ray.methods.synthesis.quality import QUALITY_MODELS

    return QUALITY_MODELS.register(name)


def register_source(name: str, *, section: type[Section], originals: Callable | None = None) -> Callable[[Part], Part]:
    """`data.source`. A function: its section of `[data]`, `seed=` → `sources.Rows`.

    section: a subclass of `adde_ray.config.data.Section` with `source: Literal[name]` and keys of its own; texts in
    those called path, pool, labels and roots are relative to the config's file. A subclass of `FilesData` has a `path`
    that names a file or a folder, and a resume tells when what lies there has changed. originals: its section → an
    `originals.Finder` of the user's image files, for review and export; and for encoders that want more pixels than the
    section's key `size`, where the `Finder` has `pairs`.
    """
    from adde_ray.config.data import SECTIONS
    from adde_ray.sources import ORIGINALS, SOURCES

    if "source" not in section.model_fields or name not in get_args(section.model_fields["source"].annotation):
        remedy = f'Give it the field source: Literal["{name}"]'
        raise UserError(f"the section {section.__name__} is not that of the source", value=name, remedy=remedy)

    def add(part: Part) -> Part:
        SECTIONS.register(name)(section)
        SOURCES.register(name)(part)
        if originals is not None:
            ORIGINALS[name] = originals
        return part

    return add


def register_gate(name: str, *, modalities: tuple[str, ...]) -> Callable[[Part], Part]:
    """`gates.own`. A function: (n,) payloads of one of these modalities as a polars Series, `config.Gates` → (n,)
    reasons, null where a row passes. A row's reason must not depend on the rows beside it.
    """
    from adde_ray.methods.gates.expectations import GATES, Gate

    def add(part: Part) -> Part:
        GATES.register(name)(Gate(tuple(modalities), part))
        return part

    return add


def register_annotator(name: str) -> Callable[[Part], Part]:
    """`review.annotator`. A class (`annotators.Annotator`) built with the config, the data (`dataset.Data`) and the
    run (`RunDir`), with `answer`: QUERY, SYNTHETIC, the round → DECISIONS (see `artifacts.schema`) about every row, or
    None: it is asked again on `--resume`. In experiments it must answer at once.
    """
    from adde_ray.annotators import ANNOTATORS

    return ANNOTATORS.register(name)


def register_corruption(name: str, *, modality: str) -> Callable[[Part], Part]:
    """`measure.corruptions`. A function: one image's (c, h, w) float64 pixels in [0, 1] or one text, severity (1 to 5),
    `np.random.Generator` → the same, worse, of the same class.
    """
    from adde_ray.methods.metrics.corruptions import CORRUPTIONS, Corruption

    def add(part: Part) -> Part:
        CORRUPTIONS.register(name)(Corruption(modality, part))
        return part

    return add


def register_stopping(name: str) -> Callable[[Part], Part]:
    """`stop.own`. A function: metrics.json of every round so far (the current one last), wall seconds, `config.Stop` →
    the reason to stop, in words, or None.
    """
    from adde_ray.methods.policy.stopping import STOPPING

    return STOPPING.register(name)


def register_adaptation(name: str) -> Callable[[Part], Part]:
    """`adapt.rules`. A function: `adaptation.Policy`, `adaptation.Evidence`, `config.Adapt` → the next policy, and the
    reason, None where it stays as it is.
    """
    from adde_ray.methods.policy.adaptation import RULES

    return RULES.register(name)


__all__ = [
    "register_adaptation",
    "register_annotator",
    "register_corruption",
    "register_diversity",
    "register_encoder",
    "register_gate",
    "register_generator",
    "register_learner",
    "register_quality",
    "register_selector",
    "register_source",
    "register_stopping",
    "register_uncertainty",
]
