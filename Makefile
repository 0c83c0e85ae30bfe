# With it, each of hundreds of processes would compile its modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-all test-vm bench programs lab-up lab-down check unit lock

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: ## Take two throwaway nodes from plain Docker to proven isolation
	.ci/setup lab
	.ci/demo

test: ## Run the tests, also on lab nodes
	.ci/setup nodes
	.venv/bin/pytest -m "not slow" -n 4 tests/unit tests/cases
	.venv/bin/pytest -m "not slow" -n 4 tests/node tests/packaging

test-all: ## Run the slow tests, which "make test" skips: faults, power cuts, bad files and archives, upgrade and rollback
	.ci/setup nodes
	.venv/bin/pytest -m slow -n 4 tests/node

test-vm: ## Run the tests on a virtual machine, which has its own kernel and boot; with KVM if it works
	.ci/setup vm
	.venv/bin/pytest tests/vm

bench: ## Run the benchmarks and write tests/bench/README.md
	.ci/setup nodes
	.venv/bin/python -m tests.bench

lab-up: ## Start the lab: GVISOR_LAB_NODES, GVISOR_LAB_FLAVOURS, GVISOR_LAB_NAME
	.ci/setup lab
	.venv/bin/python -m tools lab up

lab-down: ## Remove every trace of the lab: containers, volumes, images, keys, our dockerd; built parts stay
	.ci/lab-down

programs: ## Run real programs in gVisor, and keep what was predicted, tried and true
	.ci/setup nodes
	GVISOR_LAB_NODES=2 .venv/bin/python -m tests.programs
	.venv/bin/python -m tools docs

check: ## Check style, types, the order of folders, and changed scripts, in seconds
	.ci/setup unit
	.ci/check

unit: ## Run the tests that need neither nodes nor root
	.ci/setup unit
	.venv/bin/pytest -m "not root" -n 4 tests/unit tests/cases

lock: ## Write the versions of all tools of development that .venv has to .ci/constraints.txt
	.venv/bin/pip freeze --exclude-editable > .ci/constraints.txt
