FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY static static
RUN cargo build --release --locked --bin ai-gateway

# The final image holds what is collected here and nothing else: no shell, no package manager.
# A missing library ends the build: the binary is run from the collected files.
RUN set -eu; \
    binary=target/release/ai-gateway; \
    mkdir -p /out/etc/ssl/certs; \
    cp "$binary" /out/ai-gateway; \
    ldd "$binary" | grep -o '/[^ ]*' | xargs cp --dereference --parents --target-directory=/out; \
    cp --dereference /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/; \
    echo 'hosts: files dns' > /out/etc/nsswitch.conf; \
    chroot --userspec=65532:65532 /out /ai-gateway --version

FROM scratch
COPY --from=build /out/ /
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
EXPOSE 3000
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s --retries=3 \
    CMD ["/ai-gateway", "healthcheck"]
ENTRYPOINT ["/ai-gateway"]
