# Each target is one line; what it does is in tests/.
.PHONY: demo test bench lint

demo: ; @tests/demo
test: ; @tests/run $(T)
bench: ; @tests/bench
lint: ; @tests/lint
