#!/usr/bin/env bash
# extending.sh: applies each worked example of CONTRIBUTING.md to a copy of the tree, all of them together, where they must
# compile without a warning and pass the tests that guard what they extend.
set -euo pipefail
cd "$(dirname "$0")/.."
root="$PWD"
copy="$root/target/extending/tree"
export CARGO_TARGET_DIR="$root/target/extending/target"
# Built once, and not looked at with a debugger.
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0

# The files as they are, and no commit of them.
rm -rf "$copy"
mkdir -p "$copy"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --target-directory="$copy"

cd "$copy"
awk '/^```diff$/ { is_diff = 1; n++; next } /^```$/ { is_diff = 0 } is_diff { print > sprintf("example-%02d.diff", n) }' CONTRIBUTING.md
examples=(example-*.diff)
for example in "${examples[@]}"; do
  patch --strip=1 --batch --silent --no-backup-if-mismatch --input="$example"
done
cargo clippy --locked --lib --bins -- -D warnings
cargo test --locked --lib config::
cargo test --locked --test tidy --test monitoring --test agents --test cli --test embedding
echo "${#examples[@]} worked examples compile, and pass the tests that guard them"
