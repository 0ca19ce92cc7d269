# docker build -t postern .
# docker run -p 8085:8085 -e POSTERN_SERVER_PUBLIC_URL=https://… -v postern:/data postern
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
RUN make build VERSION="$VERSION"
# Ownership is given to what a COPY copies, not to the folder it copies to:
# hence a folder around the data folder.
RUN mkdir -p /image/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /src/bin/postern /postern
COPY --from=build --chown=65532:65532 /image/ /
# In here loopback is nobody's: listen on all interfaces, and let whoever runs
# the image choose what to publish. The ops port is for the cluster only.
ENV POSTERN_SERVER_LISTEN=0.0.0.0:8085 \
    POSTERN_GATEWAY_LISTEN=0.0.0.0:8086 \
    POSTERN_OPS_LISTEN=0.0.0.0:9085 \
    POSTERN_STORE_SQLITE_DIR=/data
EXPOSE 8085 8086 9085
USER 65532:65532
# There is no /tmp: SQLite's temporary files go to the working directory.
WORKDIR /data
VOLUME /data
ENTRYPOINT ["/postern"]
CMD ["serve"]
