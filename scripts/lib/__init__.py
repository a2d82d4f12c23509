"""The programs of the commands in scripts/: `./scripts/NAME` runs `scripts.lib.NAME`.

What these programs and the integration tests share (servers, models, random requests) is in
`integration_tests/harness`, which imports nothing from here: the tests are its main user, and a
test of a program imports the program.
"""
