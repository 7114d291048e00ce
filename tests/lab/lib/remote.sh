# shellcheck shell=bash
# "Another machine".

remote_answers() { true; }
start_remote() { :; }
stop_remote() { :; }
