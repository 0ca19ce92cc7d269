#!/bin/bash
D=/tmp/roles-dev; mkdir -p $D; cd /tmp/wt/roles && export CGO_ENABLED=0 GOFLAGS="-trimpath -tags=nomsgpack -buildvcs=false"
go build -o $D/postern ./cmd/postern || exit 1
[ -f $D/pid ] && kill $(cat $D/pid) 2>/dev/null; sleep 0.5
[ "$1" = keep ] || rm -rf $D/data; mkdir -p $D/data; cd $D/data
($D/postern serve --listen 127.0.0.1:8185 --gateway-listen 127.0.0.1:8186 --ops-listen 127.0.0.1:8187 > $D/out.log 2>&1 & echo $! > $D/pid); sleep 2; tail -3 $D/out.log
