//! The least that a proxy on the gateway's own server and client libraries can be: it reads nothing
//! and checks nothing. What the gateway takes above it is the gateway's own.

use std::io;

use actix_web::body::SizedStream;
use actix_web::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Data, PayloadConfig, to};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use awc::{Client, Connector};
use bytes::Bytes;

/// How this program is told to be one.
pub const SERVE: &str = "--serve-bare";

/// Largest body, in bytes.
const LARGEST: usize = 64 << 20;

/// Where it relays to, and by what.
type Upstream = (Client, String);

/// Relays what comes to `port` to the provider at `upstream`, with as many threads as the gateway has.
pub fn serve(upstream: &str, port: u16) -> io::Result<()> {
    let upstream = format!("http://{upstream}");
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    actix_web::rt::System::new().block_on(async move {
        HttpServer::new(move || {
            let client = Client::builder()
                .disable_timeout()
                .disable_redirects()
                .connector(Connector::new().limit(0))
                .finish();
            App::new()
                .app_data(Data::new((client, upstream.clone())))
                .app_data(PayloadConfig::new(LARGEST))
                .default_service(to(relay))
        })
        .workers(threads)
        .tcp_nodelay(true)
        .h1_allow_half_closed(false)
        .bind(("127.0.0.1", port))?
        .run()
        .await
    })
}

async fn relay(request: HttpRequest, body: Bytes, upstream: Data<Upstream>) -> HttpResponse {
    let (client, base) = &**upstream;
    let mut outgoing = client.post(format!("{base}{}", request.uri()));
    for name in [CONTENT_TYPE, AUTHORIZATION] {
        if let Some(value) = request.headers().get(&name) {
            outgoing = outgoing.insert_header((name, value.clone()));
        }
    }
    let answer = match outgoing.send_body(body).await {
        Ok(answer) => answer,
        Err(error) => return HttpResponse::BadGateway().body(error.to_string()),
    };
    let mut builder = HttpResponse::build(answer.status());
    if let Some(kind) = answer.headers().get(CONTENT_TYPE) {
        builder.insert_header((CONTENT_TYPE, kind.clone()));
    }
    let length = answer.headers().get(CONTENT_LENGTH);
    match length.and_then(|length| length.to_str().ok()?.parse().ok()) {
        Some(length) => builder.body(SizedStream::new(length, answer)),
        None => builder.streaming(answer),
    }
}
