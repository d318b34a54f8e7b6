//! Access to the thread's state and to headers of the request.

use std::rc::Rc;

use actix_web::HttpRequest;

use crate::flow::AppState;

/// The state of this server thread.
pub(super) fn state(request: &HttpRequest) -> &Rc<AppState> {
    request
        .app_data::<Rc<AppState>>()
        .expect("every app is built with one")
}

/// A header by its lower-case name; `None` if it is absent or not text. Requests have few headers,
/// so a scan costs less than building a name for a lookup.
pub(super) fn text<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    let mut headers = request.headers().iter();
    let (_, value) = headers.find(|(own, _)| own.as_str() == name)?;
    value.to_str().ok()
}
