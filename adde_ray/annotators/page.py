"""People who answer on a page in their browser: a query is published in the run's store, and what they say taken.

`adde review` serves the page from what is published; it needs nothing of the run but its folder. So all that people may
want to see of a sample is worked out here, once: why it is asked about, the gap it lies in with what is there, the
labelled samples nearest to it, and where all of them lie on a map.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from adde_ray.annotators.shown import as_kept, shown, with_views
from adde_ray.artifacts.queries import out_of_fold, read_asked
from adde_ray.artifacts.run_dir import RoundDir, RunDir, atomic, derive_rng, write_json
from adde_ray.artifacts.schema import Split
from adde_ray.artifacts.wishes import FOUND
from adde_ray.config import Config
from adde_ray.dataset import Data, Dataset, load_dataset, query_features
from adde_ray.labels import in_words
from adde_ray.methods.crowd.second_look import second_look
from adde_ray.review import room
from adde_ray.review.bands import all_bands
from adde_ray.review.notify import notify
from adde_ray.review.store import Item, Store
from adde_ray.review.write_review import FOLDER, MAP

NEIGHBOURS = 3
"""Labelled samples shown beside one that is asked about, and samples of its gap."""

MAPPED = 2_000
"""Labelled samples on the map at most."""


class Page:
    """People answer on the page; see `review.room`."""

    def __init__(self, config: Config, data: Data, run: RunDir):
        self._config, self._data, self._run = config, data, run

    def answer(self, query: pl.DataFrame, synthetic: pl.DataFrame, round_: RoundDir) -> pl.DataFrame | None:
        """DECISIONS once people have answered as much as the config asks for; None until then."""
        with room.room(self._run) as store:
            if not room.is_published(round_, store):
                for earlier in store.open_rounds():
                    store.close(earlier)
                store.publish(self._items(query, synthetic, round_, store))
                if webhook := self._config.review.webhook:
                    notify(webhook, run=self._run.root.name, round=round_.t, asked=len(query))
            found = room.take(round_, store)
        return None if found.open else found.decisions

    def changed(self, round_: RoundDir) -> pl.DataFrame:
        """DECISIONS that stand now of samples asked about in earlier rounds."""
        with room.room(self._run) as store:
            return room.decided(self._run, round_.t, store)

    # --- what is published -----------------------------------------------------------------------------------

    def _items(self, query: pl.DataFrame, synthetic: pl.DataFrame, round_: RoundDir, store: Store) -> list[Item]:
        """The query with gold among it, and what somebody wants to be asked about again."""
        modality, asked = self._data.meta.modality, read_asked(round_)
        dataset = load_dataset(self._run, round_.t, self._data)
        rows = shown(query, synthetic, asked, modality, self._config.data).sort("rank")
        features = query_features(rows["sample_id"].to_list(), synthetic, asked, self._data)
        gold = self._gold(len(rows), round_)
        ids = [*rows["sample_id"], *gold.ids]
        self._keep_map(ids, np.concatenate([features, gold.features]), dataset, round_)
        rng = derive_rng(self._config.run.seed, round_.t, "guesses")
        hidden = rng.random(len(rows)) < self._config.review.hidden_guesses
        why = Why(self._data, dataset, round_)
        items = [
            Item(
                sample_id=row["sample_id"],
                round=round_.t,
                rank=2 * row["rank"],
                kind="new",
                modality=modality,
                payload=payload(round_.root, row, modality),
                suggested=row["suggested"],
                confidence=row["confidence"],
                origin=row["origin"],
                why=why.of(row, z),
                hides_guess=bool(hides) or not self._config.review.guesses,
            )
            for row, z, hides in zip(rows.iter_rows(named=True), features, hidden, strict=True)
        ]
        places = 2 * rng.integers(max(len(rows), 1), size=len(gold)) + 1  # anywhere among the others
        known = self._known(gold.table, "gold", places, round_)
        return [*items, *known, *self._again(dataset, len(rows), round_, store)]

    def _gold(self, asked: int, round_: RoundDir) -> Split:
        """Some of val."""
        val, rng = self._data.splits["val"], derive_rng(self._config.run.seed, round_.t, "gold")
        rows = np.sort(rng.permutation(len(val))[: round(self._config.review.gold * asked)])
        return Split(val.table[rows], val.features[rows])

    def _again(self, dataset: Dataset, asked: int, round_: RoundDir, store: Store) -> Iterable[Item]:
        """Samples of earlier rounds, before all others: those that somebody wants looked at, and those whose labels
        are doubted. Nobody is asked about one a third time."""
        before = {item.sample_id for _, item in store.items() if item.kind == "again"}
        bought = dataset.table.filter(pl.col("round") > 0, ~pl.col("sample_id").is_in(list(before)))
        wanted = {one.sample_id for one in store.wanted_again()}
        doubted = self._doubted(dataset, set(bought["sample_id"]) - wanted, asked, round_)
        rows = bought.filter(pl.col("sample_id").is_in([*wanted, *doubted]))
        return self._known(rows, "again", np.zeros(len(rows), dtype=np.int64), round_)

    def _doubted(self, dataset: Dataset, among: set[str], asked: int, round_: RoundDir) -> list[str]:
        """Ids of as many labels as are looked at again, the most doubtful first, of those that are among the issues."""
        number, held_out = round(self._config.review.second_look * asked), out_of_fold(round_)
        if not number or held_out is None:
            return []
        ids = dataset.table["sample_id"].to_list()
        of_row = dataset.table.select("sample_id").join(held_out, on="sample_id", how="left", maintain_order="left")
        proba = np.array(of_row["proba"].to_list(), dtype=np.float64)
        found = second_look(dataset.labels, proba).filter(pl.col("issue"))
        return [i for i in (ids[row] for row in found["row"]) if i in among][:number]

    def _known(self, rows: pl.DataFrame, kind: str, ranks: np.ndarray, round_: RoundDir) -> Iterable[Item]:
        """Samples whose label is known, nothing of which is told. Of gold the answer is compared with it."""
        modality = self._data.meta.modality
        seen = with_views(rows, rows, modality, self._config.data)
        for row, rank in zip(seen.iter_rows(named=True), ranks, strict=True):
            yield Item(
                sample_id=row["sample_id"],
                round=round_.t,
                rank=int(rank),
                kind=kind,
                modality=modality,
                payload=payload(round_.root, row, modality),
                origin=row.get("origin") or "real",
                truth=row["label"] if kind == "gold" else None,
                hides_guess=True,
            )

    def _keep_map(self, asked: list[str], features: np.ndarray, dataset: Dataset, round_: RoundDir) -> None:
        """Where what is asked and the dataset lie in the plane of the pool's and their first two principal
        components."""
        from sklearn.decomposition import PCA

        rng = derive_rng(self._config.run.seed, round_.t, "map")
        kept = np.sort(rng.permutation(len(dataset.features))[:MAPPED])
        plane = PCA(2, random_state=0).fit(np.concatenate([self._data.reference.features, features]))
        table = dataset.table[kept]
        points = [
            {"x": x, "y": y, "sample_id": i, "label": label, "kind": kind}
            for kind, ids, labels, z in (
                ("asked", asked, [None] * len(asked), features),
                ("labelled", table["sample_id"], table["label"], dataset.features[kept]),
            )
            if len(z)
            for i, label, (x, y) in zip(ids, labels, plane.transform(z).round(4).tolist(), strict=True)
        ]
        write_json(round_.root / FOLDER / MAP, {"points": points}, recorded=False)


class Why:
    """Why samples are asked about, for people who want to know."""

    def __init__(self, data: Data, dataset: Dataset, round_: RoundDir):
        self._data, self._dataset, self._round = data, dataset, round_
        gaps = round_.read("gaps.parquet")
        self._gaps = {} if gaps is None else {row["gap_id"]: row for row in gaps.iter_rows(named=True)}
        self._labels = dict(dataset.table.select("sample_id", "label").iter_rows())
        self._rows = {i: row for row, i in enumerate(data.reference.ids)}

    def of(self, row: dict, features: np.ndarray) -> dict:
        """As `Item.why` has it. row: of QUERY; features: (d,), its own."""
        known = self._dataset
        distances = np.linalg.norm(known.features - features, axis=1)
        nearest = np.argsort(distances, kind="stable")[:NEIGHBOURS]
        return {
            "sentence": sentence(row, self._gaps.get(row["gap_id"])),
            **{name: None if row[name] is None else round(row[name], 3) for name in ("U", "Div", "Q")},
            "gap": self._gap(self._gaps.get(row["gap_id"])),
            "neighbours": self._shown(known.table[nearest]),
        }

    def _gap(self, gap: dict | None) -> dict | None:
        if gap is None:
            return None
        rows = [self._rows[i] for i in gap["anchors"] if i in self._rows][:NEIGHBOURS]
        return {
            "gap_id": gap["gap_id"],
            "words": gap_in_words(gap),
            "exemplars": self._shown(self._data.reference.table[rows]),
        }

    def _shown(self, rows: pl.DataFrame) -> list[dict]:
        modality = self._data.meta.modality
        return [
            {
                "sample_id": row["sample_id"],
                "label": in_words(self._labels.get(row["sample_id"])),
                "payload": payload(self._round.root, row, modality),
            }
            for row in as_kept(rows, modality).iter_rows(named=True)
        ]


def gap_in_words(gap: dict) -> str:
    """What a row of GAPS is, in a few words."""
    of = {"class": f"few samples of {gap['label']}", "subgroup": f"few samples of {gap['subgroup']}"}
    told = of.get(gap["kind"], "a region with few labelled samples")
    return f"{told}: {gap['in_words']}" if gap["in_words"] else told


def sentence(row: dict, gap: dict | None) -> str:
    """Why a row of QUERY is asked about, plainly."""
    if row["chosen_by"] == "random":
        return "Drawn by chance, to learn what the pool is like."
    if row["chosen_by"] == FOUND:
        return "Somebody searched for samples like this."
    reasons = [
        f"the model is unsure of it (uncertainty {row['U']:.2f})" if (row["U"] or 0) >= 0.3 else "",
        f"nothing labelled is much like it (novelty {row['Div']:.2f})" if (row["Div"] or 0) >= 0.3 else "",
        f"it lies in a gap ({gap_in_words(gap)})" if gap else "",
    ]
    told = [reason for reason in reasons if reason]
    if not told:
        return f"Chosen by {row['chosen_by']}."
    text = ", and ".join([", ".join(told[:-1]), told[-1]]) if len(told) > 1 else told[0]
    return f"{text[0].upper()}{text[1:]}."


def payload(round_folder: Path, row: dict, modality: str) -> str:
    """As `Item.payload` has it; an image is written into the round's folder `review`, unless it is there,
    and beside it all its bands, where it has more than are shown."""
    if modality != "image":
        return json.dumps(list(row[modality])) if modality == "vector" else row[modality]
    path = round_folder / FOLDER / f"{row['sample_id']}.{row.get('extension') or 'png'}"
    for place, image in ((path, row["image"]), (all_bands(path), row["all_bands"])):
        if image is not None and not place.exists():
            with atomic(place, recorded=False) as temporary:
                temporary.write_bytes(image)
    return path.name
