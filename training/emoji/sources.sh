#!/bin/sh
# Fetch the public sources of the bundled process into the folder given: npm's emoji drawings and
# words, and Debian's WordNet. Needs npm, tar, apt-get and dpkg.
set -eu
data=${1:?"usage: sources.sh FOLDER"}
mkdir -p "$data" && cd "$data"

fetch() { # package@version, name of the folder it becomes, what to unpack
  package=$1 name=$2
  shift 2
  [ -d "$name" ] && return
  archive=$(npm pack --silent "$package")
  tar xzf "$archive" --wildcards "$@"
  mv package "$name" && rm "$archive"
}
fetch emoji-datasource-google@16.0.0 google 'package/img/google/64/*' 'package/*.json' package/LICENSE package/README.md
fetch emojibase-data@17.0.0 emojibase 'package/en/*' 'package/*.json' package/LICENSE

if [ ! -d wordnet ]; then
  apt-get download wordnet-base
  dpkg -x wordnet-base_*.deb wordnet && rm wordnet-base_*.deb
fi
