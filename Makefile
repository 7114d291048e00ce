# Each target is one line; what it does is in tests/.
.PHONY: demo test trust bench lint

demo: ; @tests/demo
test: ; @tests/run $(T)
trust: ; @tests/trust/run $(T)
bench: ; @tests/bench
lint: ; @tests/lint
