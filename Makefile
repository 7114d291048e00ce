# Each target is one line; what it does is in tests/ and packaging/.
.PHONY: demo test trust bench lint dist

demo: ; @tests/demo
test: ; @tests/run $(T)
trust: ; @tests/trust/run $(T)
bench: ; @tests/bench
lint: ; @tests/lint
dist: ; @packaging/dist $(URL)
