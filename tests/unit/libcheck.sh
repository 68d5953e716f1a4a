#!/bin/sh
# Stands among the tests where the unit tests do not, since they could not be built.
echo 1..1
said="libcheck is missing (check >= 0.15; on Debian the package check): the unit tests are not built. Install it, and run ./configure again"
case ${CI:-} in
'' | 0 | false) echo "ok 1 - the unit tests # SKIP $said" ;;
*) echo "not ok 1 - $said (and CI never skips)" ;;
esac
