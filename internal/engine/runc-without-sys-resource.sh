#!/bin/sh
# runc for a machine whose capability bounding set lacks CAP_SYS_RESOURCE. The engine asks for every
# capability by name when it starts a privileged container or runs a command in one, and runc then fails with
# "unable to apply caps: operation not permitted". This takes the one that can't be had out of the
# specification (config.json of create and run, the process file of exec) and hands over to the real runc.
spec=
previous=
for argument in "$@"; do
  case $previous in
    --bundle | -b) spec=$argument/config.json ;;
    --process | -p) spec=$argument ;;
  esac
  previous=$argument
done
if [ -n "$spec" ] && [ -f "$spec" ]; then
  sed -i -e 's/"CAP_SYS_RESOURCE",//g' -e 's/,"CAP_SYS_RESOURCE"//g' "$spec"
fi
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
exec runc "$@"
