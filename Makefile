# Everything a person types. `make` alone lists it.
# Settings, all optional:  make demo AWS_PORT=24566 AIRFLOW_PORT=28080 PYTHON=python3.12

AWS_PORT ?= 14566
RUNTIME_PORT ?= 14567
AIRFLOW_PORT ?= 18080
export AWS_PORT RUNTIME_PORT AIRFLOW_PORT  # as are settings given on the command line: no text passes through the shell

# The first Python that runs and is supported: a name on PATH may be a shim without a Python behind it.
is_supported = -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 12), (3, 11)))' 2>/dev/null
find_python = $(shell for python in python3.12 python3.11 python3 python; do \
	$$python $(is_supported) && { command -v $$python; break; }; done)
python = $(or $(PYTHON),$(find_python),$(error Python 3.12 or 3.11 is needed and none was found on PATH; \
	install one or name it: make PYTHON=/path/to/python3.12))

environments = $(python) -m workbench.environments
workbench = .venv/worker/bin/python -m workbench
deploy = .venv/worker/bin/python -m workbench.deploy
for_environment = $(if $(ENV),,$(error ENV is missing: make $@ ENV=dev))--environment "$$ENV" $(if $(DRY_RUN),--dry-run)
stack_environments = worker local-aws jobs functions

.DEFAULT_GOAL := help
.PHONY: help deploy diff destroy permissions demo demo-bandit demo-drift up down status logs trigger redrive test test-fast lint bench pictures lock environments clean

help: ## list what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 } \
		/^## / { printf "%s\n", substr($$0, 4) }' $(MAKEFILE_LIST)

## Run
demo: ## the churn pipeline from raw data to a served prediction  [DATA=file.csv] [SPLIT=reference]
	@$(environments) build $(stack_environments)
	@$(workbench) demo $(if $(DATA),--data "$$DATA") $(if $(SPLIT),--split "$$SPLIT")

demo-bandit: ## a bandit learns from live rewards: warm start and 15 batches  [DATA=table] [WORLD=news] [SEED=1]
	@$(environments) build $(stack_environments)
	@$(workbench) demo-bandit $(if $(DATA),--data "$$DATA") $(if $(WORLD),--world "$$WORLD") \
		$(if $(SEED),--seed "$$SEED") $(if $(BATCHES),--batches "$$BATCHES")

demo-drift: ## drift, alarm, retraining, a new champion, the alarm's end  [DRIFT=shifted_feature] [SIZE=40] [ROWS=600]
	@$(environments) build $(stack_environments)
	@$(workbench) demo-drift $(if $(DRIFT),--drift "$$DRIFT") $(if $(SIZE),--size "$$SIZE") \
		$(if $(ROWS),--rows "$$ROWS")

up: ## start local AWS and Airflow, and wait until they are healthy  [MONITORING_HOUR=60 seconds]
	@$(environments) build $(stack_environments)
	@$(workbench) up

down: ## stop both; nothing is lost
	@$(environments) build worker
	@$(workbench) down

status: ## what runs, where, and how the last runs ended
	@$(environments) build worker
	@$(workbench) status

logs: ## follow the logs of everything, or of one process  [NAME=scheduler]
	@$(environments) build worker
	@$(workbench) logs $(if $(NAME),"$$NAME")

trigger: ## start a DAG run  [DAG=churn_training] [CONF='{"seed": 1}']
	@$(environments) build worker
	@$(workbench) trigger $(if $(DAG),--dag "$$DAG") $(if $(CONF),--conf "$$CONF")

redrive: ## deliver again the events that could not become runs  [LIST=1 only shows them] [ENV=local]
	@$(environments) build worker
	@$(workbench) redrive $(if $(ENV),--env "$$ENV") $(if $(LIST),--list)

## Ship
deploy: ## this checkout onto the account of config/ENV.toml  [ENV=dev] [DRY_RUN=1 only says every call]
	@$(environments) build worker
	@$(deploy) deploy $(for_environment)

diff: ## what a deployment would change  [ENV=dev]
	@$(environments) build worker
	@$(deploy) diff $(for_environment)

destroy: ## delete the stacks; asks, and names what stays  [ENV=dev] [DRY_RUN=1]
	@$(environments) build worker
	@$(deploy) destroy $(for_environment)

permissions: ## what roles allow against the calls that the running stack has made
	@$(environments) build worker
	@$(workbench).permissions

## Develop
test: ## all tests, each in the environment it belongs to
	@$(environments) build
	@$(workbench).test

test-fast: ## the tests that start neither Airflow nor Spark
	@$(environments) build
	@$(workbench).test --fast

lint: ## ruff, mypy, and the checkers of the templates
	@$(environments) build dev
	@.venv/dev/bin/ruff check .
	@.venv/dev/bin/ruff format --check .
	@.venv/dev/bin/mypy .
	@.venv/dev/bin/cfn-lint infrastructure/*.yaml infrastructure/once/*.yaml
	@.venv/dev/bin/python -m workbench.templates

bench: ## the benchmarks of the README's table  [NAME=pipeline]
	@$(environments) build $(stack_environments)
	@.venv/worker/bin/python -m benchmarks.run $(if $(NAME),"$$NAME")

pictures: ## renew docs/pictures from a new run on the running stack
	@$(environments) build worker browser
	@$(workbench).pictures

## Maintain
environments: ## build all virtual environments from their locks
	@$(environments) build

lock: ## renew the locks: newest versions that environments/*.in allow
	@$(environments) lock

clean: ## delete the local stack's data (.local)  [FORCE=1 does not ask]
	@$(environments) build worker
	@$(workbench) clean $(if $(FORCE),--force)
