"""Tell a tokenizer the name of each of Unicode's emoji: ``emoji_names`` in its configuration.

    python training/emoji/emoji_names.py --data DATA --tokenizer FOLDER

The names are those of ``emojibase-data``, in the everyday words that the denoiser's captions have;
of emoji that it does not have yet, those of the Python package ``emoji``. Keys have no variation
selectors (``conjure.processes.spelling``). A character that the tokenizer knows as it is keeps its
token: ™ is one. Other fields of the configuration stay.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import emoji
from boards import clean_name
from transformers import AutoTokenizer, PreTrainedTokenizerBase

_SELECTOR = "\ufe0f"
_TONE = re.compile(r"^(.*) ((?:light|medium-light|medium|medium-dark|dark) skin tone)$")


def from_emojibase(data: Path) -> dict[str, str]:
    """Emoji → names of emojibase, those of skin tones and of flags among them."""
    entries = json.loads((data / "emojibase" / "en" / "data.json").read_text("utf-8"))
    found = {}
    for entry in (each for one in entries for each in (one, *one.get("skins", ()))):
        code = "".join(chr(int(part, 16)) for part in entry["hexcode"].split("-"))
        found[code.replace(_SELECTOR, "")] = clean_name(entry["label"])
    return found


def from_package() -> dict[str, str]:
    """Emoji → names of the package ``emoji``: "dog_face" becomes "dog"."""
    found = {}
    for code, entry in emoji.EMOJI_DATA.items():
        name = entry["en"].strip(":").replace("_", " ")
        toned = _TONE.match(name)
        name = f"{toned[2]} {clean_name(toned[1])}" if toned else clean_name(name)
        found[code.replace(_SELECTOR, "")] = name
    return found


def known(tokenizer: PreTrainedTokenizerBase, text: str) -> bool:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return tokenizer.unk_token_id not in ids


def all_names(data: Path, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """Emoji → name, of all that the tokenizer does not know as they are."""
    names = {**from_package(), **from_emojibase(data)}
    if unread := [name for name in names.values() if not known(tokenizer, name)]:
        raise SystemExit(f"the tokenizer does not know the names {unread}")
    return {code: names[code] for code in sorted(names) if not known(tokenizer, code)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    args = parser.parse_args()
    names = all_names(args.data, AutoTokenizer.from_pretrained(args.tokenizer))
    file = args.tokenizer / "tokenizer_config.json"
    config = {**json.loads(file.read_text("utf-8")), "emoji_names": names}
    file.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(f"{len(names)} emoji have names")


if __name__ == "__main__":
    main()
