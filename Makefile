# make help lists what there is. Everything runs on a Linux machine with Go, Docker and make; what else a target needs is
# installed from Debian's packages where it is missing (.ci/ensure-host).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The modules of go.work, as folders; those of the product; and the packages of e2e whose tests start a cluster or take one over.
modules := $(shell go list -m -f '{{.Dir}}' | sed 's|^$(CURDIR)/||')
unit := $(filter-out e2e,$(modules))
clustered := cluster flow hostile faults
commands = $(shell go list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' $(unit:%=./%/...))
scripts = $(shell grep -rlIE '^\#!.*[ /](ba)?sh$$' .ci images $(modules) --exclude='*.go')

# What `version` answers: the commit, its time, and a release's version where VERSION names one.
frame := github.com/seedling-dev/seedling/hooks/command
stamp = -X $(frame).version=$(VERSION) -X $(frame).commit=$(shell git rev-parse HEAD) \
	-X $(frame).date=$(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd)

# One way to compile for tests, linters and images alike, so that everything is compiled once.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -buildvcs=false

# testcontainers: its reaper's image is not ours to pull, and tests clean up after themselves; published ports are on
# this machine also where this machine is a container.
export TESTCONTAINERS_RYUK_DISABLED := true
export TESTCONTAINERS_HOST_OVERRIDE := 127.0.0.1

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: demo
demo: ## Show it: a cluster, a masked seed, a pull request and its preview; keeps running
	@.ci/ensure-host demo
	@go run ./e2e/cmd/demo $(ARGS)

.PHONY: build
build: ## Build every command of the product into bin/
	@mkdir -p bin
	go build -ldflags '-s -w $(stamp)' -o bin/ $(commands)

.PHONY: images
images: ## Build every image of the product, each tagged with a hash of what it is made from
	@.ci/ensure-host demo
	@go run ./e2e/cmd/cluster image seed-postgres seed-import seed-backup preview-restore plugin

.PHONY: test
test: ## Run every check: linters, unit tests, and a real cluster
	@.ci/ensure-host test
	@$(MAKE) --no-print-directory test-unit
	@$(MAKE) --no-print-directory --jobs=2 test-e2e lint-beside

# The linters in the time that the cluster leaves: its tests wait more than they compute. The unit tests do compute, and
# on two cores the ones kept the others from their work.
.PHONY: lint-beside
lint-beside:
	@nice -n 19 $(MAKE) --no-print-directory lint

.PHONY: test-unit
test-unit: ## Run the tests that need no cluster; some start a Postgres in Docker. PKG=./plugin/preview for one package, RUN=TestX for one test
ifdef PKG
	go test -vet=off -timeout 30m $(if $(RUN),-run '$(RUN)') $(PKG)
else
	@.ci/ensure-host test
	@go run ./e2e/cmd/cluster image seed-postgres
	go test -vet=off -timeout 60m $(if $(RUN),-run '$(RUN)',-skip '^($(slow_unit))$$') $(unit:%=./%/...)
	go test -vet=off -timeout 30m -count=1 $(if $(RUN),-run '$(RUN)') $$(go list ./e2e/... | grep -vE '/e2e/($(subst $() ,|,$(clustered)))$$')
endif

# What test-hour adds to the same databases one by one, which test-unit goes through: all of them in one, twice.
slow_unit := TestHourOfManyColumns

.PHONY: test-e2e
test-e2e: ## Run the tests on a real cluster, which they start; evidence of failures is left in e2e/evidence
	@.ci/ensure-host test
	@go run ./e2e/cmd/cluster prepare
	go test -vet=off -timeout 20m -count=1 ./e2e/cluster
	go test -vet=off -timeout 60m -count=1 -skip '^($(slow))$$' ./e2e/flow
	go test -vet=off -timeout 30m -count=1 ./e2e/hostile

# Tests of e2e/flow that have the whole cluster to themselves for minutes: what they add to a run that has a limit is
# less than what they take.
slow := TestStorageLikeEBS|TestScheduleTakesTheNewestWholeDump|TestSleep

.PHONY: test-slow
test-slow: ## Run what test-e2e leaves out for its time: storage that is like EBS, the schedule, sleep, a handful of previews among crashes
	@.ci/ensure-host test
	@go run ./e2e/cmd/cluster prepare
	go test -vet=off -timeout 60m -count=1 -run '^($(slow))$$' ./e2e/flow
	go test -vet=off -timeout 60m -count=1 ./e2e/faults

.PHONY: test-adoption
test-adoption: ## Install, use, upgrade and remove it by the commands of README.md and docs/, on a cluster of its own that it ends; prints FIGURE adoption_minutes
	@.ci/ensure-host test
	@go run ./e2e/cmd/cluster prepare
	@go run ./e2e/cmd/cluster -name adoption down
	go test -vet=off -timeout 40m -count=1 -v -run '^TestAdoption$$' ./e2e/guide -bare adoption
	@go run ./e2e/cmd/cluster -name adoption down

.PHONY: test-hostile
test-hostile: ## Try every attack on a real cluster; RUN=TestAttacks/services for one, INSTALL=chart on what the Helm chart installs
	@.ci/ensure-host test
	@go run ./e2e/cmd/cluster prepare
	go test -vet=off -timeout 90m -count=1 -v $(if $(RUN),-run '$(RUN)') ./e2e/hostile -all $(if $(filter chart,$(INSTALL)),-chart)

.PHONY: screenshot
screenshot: ## Take the pictures of the status page and of the comment that the README shows, of previews on the test cluster
	@.ci/ensure-host test
	@go run ./e2e/cmd/cluster prepare
	go test -vet=off -timeout 30m -count=1 -run '^TestStatusPage$$' ./e2e/flow -screenshot $(CURDIR)/docs/status-page.png -comment $(CURDIR)/docs/comment.png

.PHONY: bench-fences
bench-fences: ## Measure what the fences cost: restores under a flood, and a preview with network policies enforced and not
	@.ci/ensure-host test
	@go run ./e2e/cmd/cluster prepare
	go test -vet=off -timeout 60m -count=1 -run '^$$' -bench . -benchtime 1x ./e2e/hostile

.PHONY: test-majors
test-majors: ## Run what depends on the seed's major version with PostgreSQL 15 and 18 too, whose images it builds
	@.ci/ensure-host test
	@for base in debian:bookworm-slim debian:forky-slim; do \
		SEEDLING_SEED_POSTGRES=$$(go run ./e2e/cmd/cluster image seed-postgres@$$base) && export SEEDLING_SEED_POSTGRES && \
		go test -vet=off -count=1 -timeout 30m ./e2e/seedpostgres && \
		go test -vet=off -count=1 -timeout 30m -run '^(TestImport|TestFailClosed|TestVersions|TestExtensionTables)$$' ./hooks/seed || exit 1; \
	done

.PHONY: test-extensions
test-extensions: ## Run what is about PostGIS and pgvector with the example image that has them, which it builds
	@.ci/ensure-host test
	@SEEDLING_SEED_POSTGRES=$$(go run ./e2e/cmd/cluster image seed-postgres-extensions) && export SEEDLING_SEED_POSTGRES && \
		go test -vet=off -count=1 -timeout 30m -run '^(TestImport|TestPlacesAndEmbeddings)$$' ./hooks/seed

.PHONY: test-race
test-race: ## Run the unit tests with the race detector (cgo); RACE=2/5 for the second fifth of the packages, PKG=./plugin/... for some
	@.ci/ensure-host test
	@go run ./e2e/cmd/cluster image seed-postgres
	CGO_ENABLED=1 GOFLAGS='-trimpath -buildvcs=false' go test -race -short -vet=off -timeout 60m \
		$(or $(PKG),$$(go list $(unit:%=./%/...) | .ci/part '$(or $(RACE),1/1)'))

.PHONY: vulnerabilities
vulnerabilities: ## Ask the Go vulnerability database about what the product calls; needs a network that reaches vuln.go.dev
	@for module in $(unit); do echo "govulncheck $$module"; \
		GOWORK=off go run -C .ci/vulnerabilities golang.org/x/vuln/cmd/govulncheck -C "$(CURDIR)/$$module" ./...; done

.PHONY: test-hour
test-hour: ## Go through a new user's first hour, from dumps of unknown databases to verified seeds; prints its figures
	@.ci/ensure-host test
	@go run ./e2e/cmd/cluster image seed-postgres
	go test -vet=off -count=1 -timeout 30m -v -run '^TestHour' ./hooks/cmd/seed-import | grep -E '^(FIGURE|ok|FAIL|panic| *---)|is about somebody|exit code|has lost|has no'

.PHONY: soak-import
soak-import: ## Let 200 imports fail at random points; SOAK=400 for more, SOAK==17 for run 17 alone
	@.ci/ensure-host test
	SEED_IMPORT_SOAK=$(or $(SOAK),200) go test -vet=off -count=1 -timeout 10h -v -run '^TestSoak$$' ./hooks/cmd/seed-import

.PHONY: soak-plugin
soak-plugin: ## Let random lives of previews, of the whole plugin over HTTP, and of that with volumes, go on for hours; SOAK=10m for less, PLUGIN_MODEL=17 for life 17 alone
	PLUGIN_SOAK=$(or $(SOAK),2h) go test -vet=off -count=1 -timeout 24h -run '^TestModel' ./plugin ./plugin/preview

.PHONY: soak-previews
soak-previews: ## Let 100 previews live on a real cluster while its parts are killed, and count what they leave; LIVES=20 for less, SEED=17 for what fell then
	@.ci/ensure-host test
	@go run ./e2e/cmd/cluster prepare
	go test -vet=off -timeout 24h -count=1 -v -run '^TestLives$$' ./e2e/faults -all -lives $(or $(LIVES),100) $(if $(SEED),-seed $(SEED))

.PHONY: fuzz
fuzz: ## Search every fuzz target for new inputs, a minute each; FUZZ=1h for longer
	@.ci/ensure-host test
	@for package in $$(grep -rl '^func Fuzz' --include='*_test.go' $(unit) | xargs -n1 dirname | sort -u); do \
		targets=$$(go test -vet=off -list '^Fuzz' ./$$package | grep '^Fuzz'); \
		for target in $$targets; do \
			echo "$$package $$target"; \
			go test -vet=off -run '^$$' -fuzz "^$$target\$$" -fuzztime $(or $(FUZZ),60s) -fuzzminimizetime 20x ./$$package; \
		done; \
	done

.PHONY: bench-import
bench-import: ## Measure seed-import against pg_restore and masking in place; ARGS='-size 1 -rounds 3' for less
	@.ci/ensure-host test
	go run ./hooks/bench/import $(ARGS)

.PHONY: bench-plugin
bench-plugin: ## Measure the plugin with 4,000 pull requests; ARGS='-repositories 4' for less
	go run ./plugin/bench $(ARGS)

.PHONY: bench-restore
bench-restore: ## Measure label to first query against a restore on demand; ARGS='-sizes-mb 100 -rounds 5 -bursts 20' for less
	@.ci/ensure-host test
	go run ./e2e/cmd/bench-restore $(ARGS)

.PHONY: compare-generators
compare-generators: ## Run Argo CD's own pull-request generator beside ours while the Git host fails; ARGS='-fail-for 30s' for less
	@.ci/ensure-host test
	@go run ./e2e/cmd/cluster prepare
	go test -vet=off -timeout 60m -count=1 -run '^$$' -bench BesideTheStockGenerator -benchtime 1x ./e2e/flow $(ARGS)

.PHONY: bench-forges
bench-forges: ## Count the calls that a poll of each forge takes, with 1,000 open pull requests
	go test -vet=off -count=1 -run '^$$' -bench Poll -benchtime 1x ./plugin/forge/forgetest

.PHONY: lint
lint: ## Run the linters, and build each module without the workspace
	@.ci/ensure-host test
	shellcheck $(scripts)
	.ci/lint/golangci-lint run --allow-parallel-runners $(modules:%=./%/...)
	.ci/lint/manifests
	cd .ci/release && GOWORK=off go vet ./... && GOWORK=off go test -vet=off ./...
	cd .ci/monitoring && GOWORK=off go vet ./... && GOWORK=off go test -vet=off ./...
	@for module in $(modules); do echo "GOWORK=off go -C $$module build ./..."; GOWORK=off go -C $$module build -mod=readonly ./...; done

.PHONY: fmt
fmt: ## Format the Go code
	.ci/lint/golangci-lint fmt $(modules)

.PHONY: chart
chart: ## Bring the Helm chart's templates up to date with the kustomize bases
	@go run ./e2e/cmd/chart

.PHONY: pin-upstream
pin-upstream: ## Download what others have released of the test cluster's programs, and keep version, URL and SHA-256 of each in the repository
	@go run ./e2e/cmd/cluster pin

.PHONY: release
release: ## Make VERSION=v1.0.0 into dist/: install.yaml, images as OCI archives, SBOMs and checksums; needs no registry
	@.ci/ensure-host demo
	@GOWORK=off go run -C .ci/release . make -version '$(VERSION)'

.PHONY: release-postgres release-checksums release-push
release-postgres: # seed-postgres for this machine's architecture alone
	@.ci/ensure-host demo
	@GOWORK=off go run -C .ci/release . postgres -version '$(VERSION)'
release-checksums: # again, after files were added to dist/
	@GOWORK=off go run -C .ci/release . checksums
release-push: # the images in dist/, as docker is logged in
	@GOWORK=off go run -C .ci/release . push

.PHONY: reload
reload: ## Build PART=plugin (or another image of ours) and put it into the running cluster
	@go run ./e2e/cmd/reload $(PART)

.PHONY: cluster-up
cluster-up: ## Start the test cluster, or adopt the one that runs
	@.ci/ensure-host demo
	@go run ./e2e/cmd/cluster up

.PHONY: cluster-down
cluster-down: ## End the test cluster and remove its data
	@go run ./e2e/cmd/cluster down
