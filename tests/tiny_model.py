"""A real model, small enough to be trained within the tests: the whole training on texts made from own templates.

Human tables tell of harbours, schools and gardens; the spun one holds the same kind of article after a dictionary
spinner with own synsets. Nothing in it comes from the data that the shipped model is trained on.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

import pandas

from train.corpora import Document
from train.export import write_model
from train.screen import FittedScreen, Settings, fit
from train.spinners.dictionary import DictionarySpinner, Rates
from train.spinners.lexicon import read_wordnet

SYNSETS = """
n|ship vessel watercraft;n|harbour haven seaport;n|storm tempest violent_storm;n|price cost monetary_value
n|worker labourer proletarian;n|school academy shoal;n|teacher instructor pedagogue;n|child kid youngster
n|garden plot horticulture;n|house domicile dwelling;n|road thoroughfare itinerary;n|bridge span pontoon
n|council assembly conclave;n|plan design strategy;n|year twelvemonth annum;n|money cash funds;n|food nourishment fare
n|morning forenoon daybreak;n|wall partition bulwark;n|letter missive epistle;n|tree shrub timber
n|problem quandary predicament;n|question inquiry query;n|answer reply riposte;n|friend companion ally
v|build construct erect;v|close shut conclude;v|begin commence inaugurate;v|help assist succour;v|buy purchase procure
v|carry transport convey;v|agree concur accede;v|ask inquire solicit;v|open unlock unfasten;v|repair mend rectify
v|pay remunerate compensate;v|need require necessitate;v|plant sow embed;v|show exhibit evince;v|wait linger tarry
v|teach instruct edify;v|find discover uncover;v|keep retain preserve
a|old aged antiquated;a|new fresh novel;a|small diminutive petite;a|big sizeable voluminous;a|cold frigid gelid
a|quiet tranquil hushed;a|strong robust brawny;a|dry arid parched;a|long lengthy protracted;a|poor penurious indigent
r|quickly rapidly speedily;r|slowly sluggishly tardily;r|often frequently oftentimes;r|carefully cautiously gingerly
r|early betimes prematurely
"""
_NOUNS = [
    "ship",
    "harbour",
    "storm",
    "price",
    "worker",
    "school",
    "teacher",
    "child",
    "garden",
    "house",
    "road",
    "bridge",
    "council",
    "plan",
    "year",
    "letter",
    "tree",
    "problem",
    "question",
    "friend",
]
_PAST = ["built", "closed", "opened", "repaired", "needed", "found", "kept", "planted", "showed", "carried", "bought"]
_ADJECTIVES = ["old", "new", "small", "big", "cold", "quiet", "strong", "dry", "long", "poor"]
_ADVERBS = ["quickly", "slowly", "often", "carefully", "early"]
_NAMES = ["Marlow", "Tessa", "Ondine", "Hartwell", "Brigby", "Ruane"]
_SENTENCES = (
    "The {a} {n} near the {n2} was {v} by the {n3} last year, and nobody was told why.",
    "{N} said that they had {v} the {a} {n} before the winter, because the {n2} was too {a2}.",
    "It was not clear whether the {n} would be {v} again, but the {n2} had asked for it.",
    "When the {a} {n} came, the people of the town {r} {v} what was left of the {n2}.",
    "Most of the money was paid to the {n}, which had {v} the {n2} with the help of a friend.",
    "They agreed that every {n} should have its own {n2}, and that the {a} {n3} must wait.",
    "In the morning the {n} was {a} and {a2}, and the {n2} could be seen from the {n3}.",
    "There were {d} answers to the question, and only one of them was {r} given.",
    "If you ask {N} about the {n}, the answer is that it has always been {a}.",
    "We have {r} {v} the {a} {n}, he said, and we will not begin to teach the {n2} now.",
)
_LLM = (
    "In conclusion, it is important to note that the {n} plays a crucial role in the {n2}.",
    "Furthermore, this comprehensive approach ensures that every {n} fosters a vibrant {n2}.",
    "Overall, the {n} stands as a testament to the resilience and the values of the {n2}.",
)
_TRANSLATED = (
    "The {n} of the {n2}, it has been {v} by the {n3} in the framework of the {a} measures.",
    "According to what has been communicated, the {n} it disposes of the {a} {n2} since {d} years.",
    "It is about the realization of the {n}, that which the {n2} has {v} with the {a} {n3}.",
)


def article(rng: Random, templates: tuple[str, ...] = _SENTENCES, sentences: int = 12) -> str:
    """Return an article of four-sentence paragraphs, about 15 words a sentence."""
    written = []
    for _ in range(sentences):
        n, n2, n3 = rng.sample(_NOUNS, 3)
        a, a2 = rng.sample(_ADJECTIVES, 2)
        written.append(
            rng.choice(templates).format(
                n=n, n2=n2, n3=n3, a=a, a2=a2,
                v=rng.choice(_PAST), r=rng.choice(_ADVERBS), N=rng.choice(_NAMES), d=rng.randint(3, 90),
            )
        )  # fmt: skip
    return "\n\n".join(" ".join(written[i : i + 4]) for i in range(0, len(written), 4))


def make_document(table: str, number: int, text: str, **changes: object) -> Document:
    """Return a document with the fields that its table implies."""
    labels = {"human": "original", "spun": "spun", "llm": "llm_rewritten", "machine_translated": "machine_translated"}
    document = Document(
        id=f"{table}/{number}",
        text=text,
        label=labels[table.split("/")[0]],
        table=table,
        tool="dictionary" if table.startswith("spun/") else "",
        tool_family="wild" if table.startswith("spun/") else "",
        source=table,
        group=f"{table}:{number}",
        domain="",
        original=None,
        licence_nc=False,
    )
    return replace(document, **changes)


def write_data(folder: Path) -> Path:
    """Write the data folder that training reads besides the documents: the synsets."""
    rows = [
        {"synset": f"{i}-{kind}", "pos": kind, "members": [m.replace("_", " ") for m in members.split()]}
        for i, row in enumerate(SYNSETS.replace("\n", ";").split(";"))
        if "|" in row
        for kind, members in [row.split("|")]
    ]
    (folder / "lexicon").mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / "lexicon" / "open_english_wordnet_synsets.jsonl.gz", "wt", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)
    return folder


def spinner(data: Path) -> DictionarySpinner:
    """Return the spinner that made the spun table: another one than the presets that training simulates."""
    wordnet = read_wordnet(data / "lexicon" / "open_english_wordnet_synsets.jsonl.gz")
    return DictionarySpinner(wordnet, Rates(0.8, 0.8, 0.8, 0.8), determinism=0.3, tool="made up")


def documents(data: Path) -> list[Document]:
    """Return about 200 documents: three human tables, one spun, one of a language model, one translated."""
    rng = Random(7)
    rows = [make_document(f"human/{t}", i, article(rng)) for t in ("harbour", "school", "garden") for i in range(35)]
    spin = spinner(data)
    rows += [make_document("spun/wild", i, spin.spin(article(rng), rng).text) for i in range(50)]
    rows += [make_document("llm/wild", i, article(rng, _SENTENCES[:4] + _LLM)) for i in range(20)]
    rows += [make_document("machine_translated/news", i, article(rng, _SENTENCES[:4] + _TRANSLATED)) for i in range(20)]
    return rows


def write_tables(folder: Path) -> Path:
    """Write a whole data folder, `documents` and all, as reports read it."""
    write_data(folder)
    rows = documents(folder)
    for table in {d.table for d in rows}:
        path = folder / f"{table}.parquet"
        path.parent.mkdir(exist_ok=True)
        part = [d for d in rows if d.table == table]
        pandas.DataFrame({"id": [d.id for d in part], "text": [d.text for d in part]}).to_parquet(path)
    return folder


def settings(**changes: object) -> Settings:
    """Return a recipe for this little data."""
    made = Settings(
        name="tiny",
        seed=1,
        vocabulary={"min_count": 3, "min_tables": 2, "name_ratio": 4.0, "min_name_count": 3},
        documents={},
        segments={"bits": 14, "penalty": 1e-5, "epochs": 5, "negative_mass": 1.0},
        mass={},
        simulation={
            "documents": 30,
            "llm_documents": 6,
            "most_of_a_table": 30,
            "longest_words": 150,
            "mined_documents": 10,
            "partial": 0.3,
            "rate_factors": [1.0],
            "presets": ["dictionary"],
            "llm_presets": ["dictionary"],
            "mt_documents": 0,
            "mt_turns": 0,
            "mt_presets": [],
        },
        association={"sketch_bytes": 4096},
        article={
            "inner_folds": 2,
            "penalty": 0.1,
            "prevalence": 0.5,
            "whole_text_penalty": 0.3,
            "whole_text_floor": 0.9,
            "min_words": 40,
        },
        # The settings of the committed recipe, with thresholds as low as the weights of this model.
        evidence={**Settings.read().evidence, "start": 0.05, "extend": 0.02, "surprise": 0.02, "scale": 0.5},
        gate={},
        whole_text={},
        join=Settings.read().join,
    )
    return replace(made, **changes)


@dataclass(frozen=True)
class Tiny:
    """What was trained, on what, and the folder that it was written to (read-only for tests)."""

    data: Path
    documents: list[Document]
    settings: Settings
    fitted: FittedScreen
    folder: Path


_folders: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends


@cache
def tiny() -> Tiny:
    """Train and export once per process; a few seconds."""
    _folders.append(tempfile.TemporaryDirectory(prefix="detect-spin-tiny-"))
    root = Path(_folders[-1].name)
    data = write_data(root / "data")
    rows, recipe = documents(data), settings()
    fitted = fit(rows, recipe, data)
    write_model(root / "tiny", fitted, rows, data, recipe, 0.0)
    return Tiny(data, rows, recipe, fitted, root / "tiny")
