//! What a handler takes out of its request: the state of the thread, and headers.

use std::rc::Rc;

use actix_web::HttpRequest;

use crate::flow::AppState;

/// The state of this thread.
pub(super) fn state(request: &HttpRequest) -> &Rc<AppState> {
    request
        .app_data::<Rc<AppState>>()
        .expect("every app is built with one")
}

/// A header of the request, where it is text. Requests have few headers: to look through them costs
/// less than to make a name to look for.
pub(super) fn text<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    let mut headers = request.headers().iter();
    let (_, value) = headers.find(|(own, _)| own.as_str() == name)?;
    value.to_str().ok()
}
