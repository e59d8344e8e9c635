# make run    everything it takes to run the agent on this machine, and run it
# make test   everything it takes to test it, and test it
# make help   the rest

SHELL   := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo dev)
STAMP   := -X keyless/handler/app.Version=$(VERSION)
PYTHON  := handler/localazure/python/assets/python.wasm
FUZZTIME := 10s
AZURITE := .cache/azurite/node_modules/azurite/package.json

.PHONY: help run test lint fuzz bench dist start deploy python azurite clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: python ## run the agent on http://127.0.0.1:7071, with stand-ins for what is not configured (PORT=n: another port)
	@go build -trimpath -ldflags '$(STAMP)' -o .cache/keyless-local ./handler/local
	@exec .cache/keyless-local

test: python azurite ## run all tests, with the race detector
	go test -race ./...

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l handler); test -z "$$unformatted" || { echo "gofmt these: $$unformatted"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	GOOS=darwin GOARCH=arm64 go vet ./handler/local
	GOOS=windows GOARCH=amd64 go vet ./handler/local

fuzz: ## fuzz what parses foreign bytes, each target for FUZZTIME (10s; or 1000x: so many inputs)
	@for package in $$(go list ./handler/...); do \
	  for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "$$package $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package; \
	  done; \
	done

bench: python ## time a turn through the handler against the bare HTTP calls that it makes, and the parts
	go test -run '^$$' -bench . -benchmem ./handler/e2e ./handler/llm ./handler/identity

dist: ## stage the Functions app in dist/: host.json, the functions, one static linux/amd64 binary
	@rm -rf dist && mkdir -p dist
	@cp host.json dist/ && cp -r functions/* dist/
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -trimpath -ldflags '-s -w $(STAMP)' -o dist/handler ./handler
	@ls -l dist/handler

start: dist python ## run under the Functions host (needs Azure Functions Core Tools), in demo mode until local.settings.json names real services
	@command -v func >/dev/null || { echo "Azure Functions Core Tools are missing: npm install -g azure-functions-core-tools@4 (or see aka.ms/func-core-tools)"; exit 1; }
	go build -trimpath -ldflags '$(STAMP)' -o dist/handler-local ./handler/local
	@test -f local.settings.json || cp local.settings.json.example local.settings.json
	@cp local.settings.json dist/
	func start --script-root dist

deploy: dist ## deploy to Azure with azd; or with az and func: make deploy APP=<name> REGION=<region>
ifdef APP
	az deployment sub create --name keyless-$(APP) --location $(REGION) --template-file infra/main.bicep \
	  --parameters environmentName=$(APP) location=$(REGION) --output none
	app=$$(az functionapp list --resource-group rg-$(APP) --query '[0].name' --output tsv); \
	  cd dist && func azure functionapp publish "$$app" --custom --no-build
else
	azd up
endif

python: $(PYTHON) ## fetch the WebAssembly build of CPython that the local sandbox runs

$(PYTHON):
	go run ./handler/localazure/python/pywasm

azurite: $(AZURITE) ## fetch the Blob Storage emulator that the tests use

$(AZURITE): handler/store/azurite/package.json handler/store/azurite/package-lock.json
	@mkdir -p .cache/azurite && cp $^ .cache/azurite/
	npm ci --prefix .cache/azurite --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

clean: ## remove what the other targets made here
	rm -rf dist .cache $(PYTHON)
