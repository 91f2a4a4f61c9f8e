#!/bin/sh
# Runs the tests that use the addon on other releases of Node, with the addon as it is shipped. Gets each from npm.
# Usage: scripts/test-nodes.sh [release ...]; default 22 24 26.
set -eu
cd "$(dirname "$0")/.."
make -s -C test/readers
node_modules/.bin/tsc -p test/tsconfig.json
export TARSPOUT_ADDON="$PWD/prebuilds/linux-x64/tarspout.node"
if [ $# -eq 0 ]; then set -- 22 24 26; fi
for release; do
  npx --yes --package "node@$release" -- node -p '`Node ${process.version}`'
  npx --yes --package "node@$release" -- node node_modules/ava/entrypoints/cli.mjs \
    dist-test/spout/*.test.js dist-test/fifo/*.test.js dist-test/drop-in/*.test.js dist-test/tar/*.test.js \
    dist-test/receiver/fifo-reader.test.js
done
