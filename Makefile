# What a person or a machine does with this repository. `make` alone tells.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build demo tune checkpoints results test test-live lint libtorch python clean

# The demo: about two minutes of training on two cores.
SCENARIO ?= pool12
STEPS ?= 300000
SEED ?= 1
EPISODES ?= 100
RUN := runs/demo

# Rows of look-ahead on the same test episodes, which `make results` compares with.
SEARCH ?= $(wildcard docs/results/2026-11-29-look-ahead/rows/*.json.gz)

# Validation episodes that the parameters of rules are chosen on.
TUNE_EPISODES ?= 100

# Every policy in checkpoints/: <recipe>:<seed>. Settings are in train/recipes; nothing else says how they were made. Those of
# published/ have scenarios of their own; the generalist learns from those before it and from checkpoints/tutors, lublin-2 needs its trace (train/recipes/lublin/README.md).
CHECKPOINTS := pool12:1 gang:1 mix:1 sweeps:1 locality:1 estimates:1 shift:1 serving-swap:1 serving-burst:1 shift-serving:1 \
    hpc-256:1 edge:2 datacenter:1 preempt:1 elastic:1 gpu36:1 serving-hetero:1 serving-poisson:1 shared:1 generalist:1 \
    published/one-server:1 published/lublin-1:1 published/lublin-2:1 published/lublin-2-backfill:1

YARDMASTER := target/release/yardmaster
TRAIN := target/release/yardmaster-train

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

libtorch: ## Put libtorch into .libtorch/ (once; 440 MB)
	@scripts/libtorch.sh

python: ## Put the Python packages that some tests compare with into .venv/ (once; 150 MB)
	@scripts/python.sh

build: libtorch ## Build the command and the trainer
	@cargo build --release --locked --package yardmaster --package yardmaster-train

demo: build ## Train a policy, compare it with every rule, freeze it, load it (SCENARIO, STEPS, SEED, EPISODES)
	@rm -rf $(RUN)
	$(TRAIN) --scenario $(SCENARIO) --out $(RUN) --steps $(STEPS) --seed $(SEED) --threads 2
	$(TRAIN) export --run $(RUN) --out $(RUN)/policy.safetensors
	$(YARDMASTER) inspect $(RUN)/policy.safetensors
	$(YARDMASTER) simulate --scenario $(SCENARIO) --checkpoint $(RUN)/policy.safetensors --gantt $(RUN)/schedule.svg
	$(YARDMASTER) bench --scenario $(SCENARIO) --policies all --checkpoint $(RUN)/policy.safetensors \
	    --episodes $(EPISODES) --markdown $(RUN)/table.md
	@echo "table: $(RUN)/table.md, schedule: $(RUN)/schedule.svg, policy: $(RUN)/policy.safetensors"

tune: ## Choose the parameters of every rule in every scenario again, into agent/tuned (SCENARIOS, TUNE_EPISODES)
	@cargo build --release --locked --package yardmaster
	@for scenario in $(or $(SCENARIOS),$$($(YARDMASTER) scenarios | cut -d' ' -f1)); do \
	    $(YARDMASTER) tune --scenario $$scenario --policies all --episodes $(TUNE_EPISODES) --out agent/tuned/$$scenario.toml; \
	done

checkpoints: build ## Train and freeze every policy in checkpoints/ again
	@scripts/checkpoints.sh $(CHECKPOINTS)

results: ## Judge every policy in checkpoints/ on test episodes again, into the READMEs (EPISODES, SEARCH, SCENARIOS)
	@cargo build --release --locked --package yardmaster
	$(YARDMASTER) results checkpoints/*.safetensors --out checkpoints/README.md --summary README.md \
	    --rows docs/results/$(shell date +%F)-policies --svg docs/pictures/policies.svg --episodes $(EPISODES) \
	    $(if $(SCENARIOS),--scenarios $(SCENARIOS)) $(if $(SEARCH),--search $(SEARCH))

# The back end's inference runtime takes minutes to build: it is tested with what is live.
test: libtorch ## Every test that needs no running system, the trainer's included
	@cargo test --quiet --workspace --exclude yardmaster-backend --locked

# One after another: each starts a cluster of its own, and they measure time.
test-live: ## Tests against real back ends, and a real Slurm on loopback (root, Debian's slurm-wlm and munge); minutes
	@cargo test --quiet --locked --package yardmaster-backend
	@cargo test --quiet --locked --package yardmaster --test gateway
	@cargo test --quiet --locked --package yardmaster --test live -- --nocapture --test-threads 1

# Targets that `cargo test` leaves out (`test = false`) are no part of --all-targets.
lint: libtorch ## Formatting and clippy, warnings denied
	@cargo fmt --all --check
	@cargo clippy --quiet --workspace --all-targets --locked -- -D warnings
	@cargo clippy --quiet --package yardmaster --test gateway --test live --locked -- -D warnings

clean: ## Remove what was built and trained; libtorch stays
	@rm -rf target runs
