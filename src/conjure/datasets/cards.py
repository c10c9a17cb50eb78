"""A card for each human-annotated set: its size, scale, subsets, origin, licence and files.

The sets are not part of the package, since their licences differ. They are read from a folder, as
TSVs without quoting and with the columns ``subset score sentence1 sentence2``. The sentence sets
can also come from the hub, at the revisions that mteb pins for its tasks of the same names.
"""

from __future__ import annotations

from dataclasses import dataclass

HUB_FILES = ("*test*.jsonl.gz", "*test*.jsonl", "*test*.parquet")


@dataclass(frozen=True)
class HubSource:
    """A dataset repository of the hub at one commit; its test part is the whole set."""

    repo: str
    revision: str


@dataclass(frozen=True)
class DatasetCard:
    """One set as it is published.

    title:   the set's name in papers, used in tables and figures
    pairs:   the number of pairs
    scale:   (lowest, highest) human score; higher means more similar
    subsets: {subset: number of pairs}, or None if there are none
    files:   the files of a folder that make up the set, in order
    hub:     its place on the hub, which does not keep subsets; None if the hub does not have it
    """

    title: str
    pairs: int
    scale: tuple[float, float]
    subsets: dict[str, int] | None
    source: str
    licence: str
    files: tuple[str, ...]
    hub: HubSource | None


_SEMEVAL = "SemEval STS distribution; research use"

DATASETS: dict[str, DatasetCard] = {
    "stsb": DatasetCard(
        "STS-B",
        1379,
        (0, 5),
        {
            "MSRpar": 250,
            "MSRvid": 250,
            "answer-answer": 254,
            "headlines": 250,
            "images": 250,
            "track5.en-en": 125,
        },
        "STS Benchmark, test part (Cer et al. 2017)",
        "STS Benchmark licence",
        ("stsb-test.tsv",),
        HubSource("mteb/stsbenchmark-sts", "b0fddb56ed78048fa8b90373c8a3cfc37b684831"),
    ),
    "sts12": DatasetCard(
        "STS12",
        3108,
        (0, 5),
        {"MSRpar": 750, "MSRvid": 750, "OnWN": 750, "SMTeuroparl": 459, "SMTnews": 399},
        "SemEval-2012 task 6 (Agirre et al. 2012)",
        _SEMEVAL,
        ("sts12.tsv",),
        HubSource("mteb/sts12-sts", "a0d554a64d88156834ff5ae9920b964011b16384"),
    ),
    "sts13": DatasetCard(
        "STS13",
        1500,
        (0, 5),
        {"FNWN": 189, "OnWN": 561, "headlines": 750},
        "*SEM 2013 shared task, without SMT (Agirre et al. 2013)",
        _SEMEVAL,
        ("sts13.tsv",),
        HubSource("mteb/sts13-sts", "7e90230a92c190f1bf69ae9002b8cea547a64cca"),
    ),
    "sts14": DatasetCard(
        "STS14",
        3750,
        (0, 5),
        {
            "OnWN": 750,
            "deft-forum": 450,
            "deft-news": 300,
            "headlines": 750,
            "images": 750,
            "tweet-news": 750,
        },
        "SemEval-2014 task 10 (Agirre et al. 2014)",
        _SEMEVAL,
        ("sts14.tsv",),
        HubSource("mteb/sts14-sts", "6031580fec1f6af667f0bd2da0a551cf4f0b2375"),
    ),
    "sts15": DatasetCard(
        "STS15",
        3000,
        (0, 5),
        {
            "answers-forums": 375,
            "answers-students": 750,
            "belief": 375,
            "headlines": 750,
            "images": 750,
        },
        "SemEval-2015 task 2 (Agirre et al. 2015)",
        _SEMEVAL,
        ("sts15.tsv",),
        HubSource("mteb/sts15-sts", "ae752c7c21bf194d8b67fd573edf7ae58183cbe3"),
    ),
    "sts16": DatasetCard(
        "STS16",
        1186,
        (0, 5),
        {
            "answer-answer": 254,
            "headlines": 249,
            "plagiarism": 230,
            "postediting": 244,
            "question-question": 209,
        },
        "SemEval-2016 task 1 (Agirre et al. 2016)",
        f"{_SEMEVAL}; some parts CC BY-SA",
        ("sts16.tsv",),
        HubSource("mteb/sts16-sts", "4d8694f8f0e0100860b497b999b3dbed754a0513"),
    ),
    "sickr": DatasetCard(
        "SICK-R",
        9927,
        (1, 5),
        None,
        "SICK relatedness, all three parts (Marelli et al. 2014)",
        "CC BY-NC-SA",
        ("sickr-train.tsv", "sickr-trial.tsv", "sickr-test.tsv"),
        HubSource("mteb/sickr-sts", "20a6d6f312dd54037fe07a32d58e5e168867909d"),
    ),
    "sickr-test": DatasetCard(
        "SICK-R test",
        4927,
        (1, 5),
        None,
        "SICK relatedness, test part (Marelli et al. 2014)",
        "CC BY-NC-SA",
        ("sickr-test.tsv",),
        None,  # the hub's set is all 9,927 pairs and does not say which belong to the test part
    ),
    "rg65": DatasetCard(
        "RG65",
        65,
        (0, 4),
        None,
        "Rubenstein & Goodenough 1965, Communications of the ACM 8 (10), 627–633",
        "from the 1965 article",
        ("rg65.tsv",),
        None,
    ),
    "simlex999": DatasetCard(
        "SimLex-999",
        999,
        (0, 10),
        {"adjective": 111, "noun": 666, "verb": 222},
        "SimLex-999 (Hill, Reichart & Korhonen 2015)",
        "research use",
        ("simlex999.tsv",),
        None,
    ),
}

# The sets that the paper averages over (Table 1). SICK-R is whole, as in the work it compares with.
SEVEN = ("stsb", "sts12", "sts13", "sts14", "sts15", "sts16", "sickr")


def set_title(name: str) -> str:
    """The title of a known set; for any other name, the name itself.

    >>> set_title("stsb"), set_title("mine.tsv")
    ('STS-B', 'mine.tsv')
    """
    return DATASETS[name].title if name in DATASETS else name
