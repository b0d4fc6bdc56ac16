# Everything here sets itself up: it takes Node 20 or newer with npm, and Go 1.26 or newer (or the control plane's
# binaries, see CONTRIBUTING.md). The Node that runs the project comes with the npm packages on Linux.
# setup must not run on the Node that it installs.
PATH_OUTSIDE := $(PATH)
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
export npm_config_update_notifier := false

.DEFAULT_GOAL := help
.PHONY: help setup lint format test targets explore soak prove crds demo bench control-plane clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install the npm packages if they are not what package-lock.json says
	@PATH="$(PATH_OUTSIDE)" node .ci/setup.mjs

lint: setup ## types, lint rules, format, dead code
	@npm run --silent lint

format: setup ## format all files
	@biome format --write

test: setup ## all tests; ARGS="test/pki" for some; KUBECONFIG=... for a cluster of yours instead of an own one
	@vitest run $(ARGS)

targets: setup ## write what tests prove of target systems into docs/targets/README.md; ARGS=test/systems for some tests
	@vitest run --reporter=default --reporter=./test/support/summary-reporter.ts --reporter=./test/targets/reporter.ts $(ARGS)

explore: setup ## explore more than ten million states of the rotation machine; ARGS="'old files' 5000000" for some
	@node test/rotation/explore/main.ts $(ARGS)

soak: setup ## rotate one mesh 200 times in a row (about an hour), no handshake may fail; ROTATIONS=500 for more
	@ROTATIONS=$(or $(ROTATIONS),200) vitest run --project cluster test/controllers/soak.cluster.test.ts

prove: setup ## all long proofs: explore, every bug put in, every crash of a whole life, soak; ARGS=crashes for one
	@node test/prove/main.ts $(ARGS)

crds: setup ## write crds/*.yaml and docs/reference.md from the schemas in src/api
	@node src/cli/crds.ts

demo: setup ## rotate the CA of three clusters while they replicate; KEEP=1 leaves everything running until Ctrl-C
	@KEEP=$(KEEP) exec node test/demo/main.ts

bench: setup ## issue 1,000 certificates and measure; ARGS="--count 5000", figures also in .work/bench.json
	@node test/bench/main.ts $(ARGS)

control-plane: setup ## an API server to play with until Ctrl-C
	@node test/control-plane/main.ts up

clean: ## remove what was installed here; the control plane's binaries stay in the user's cache
	rm -rf node_modules .work dist
