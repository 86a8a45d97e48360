//! Bodies of requests, read as far as there is room for them.
//!
//! All that are being read or worked on at one end point share its room, and whoever comes when it is taken waits. So what one
//! end point takes of memory is bounded, however many call it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// How long a body may take, and the wait for room, where its caller says nothing of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The room for the bodies of an end point.
#[derive(Debug)]
pub(crate) struct Bodies {
    /// In KiB.
    room: Arc<Semaphore>,
    /// The most bytes of one.
    largest: usize,
}

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is larger than one may be.
    TooLarge,
    /// There was no room in time.
    Busy,
    /// It did not come to its end, or not in time.
    Broken,
}

impl Bodies {
    /// Room for so many KiB in all, and so many bytes at most of one.
    pub(crate) fn new(room: usize, largest: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(room)), largest }
    }

    /// The whole body, and its place, which is held for as long as anything is made of it.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Bytes, OwnedSemaphorePermit), Unread> {
        self.read_until(headers, body, Instant::now() + PATIENCE).await
    }

    /// The same, for somebody who waits until then for all of it.
    pub(crate) async fn read_until(
        &self,
        headers: &HeaderMap,
        body: Body,
        deadline: Instant,
    ) -> Result<(Bytes, OwnedSemaphorePermit), Unread> {
        let length = match headers.get(CONTENT_LENGTH) {
            Some(length) => length.to_str().ok().and_then(|length| length.parse().ok()).unwrap_or(usize::MAX),
            None => self.largest,
        };
        if length > self.largest {
            return Err(Unread::TooLarge);
        }
        let room = u32::try_from(length / 1024 + 1).unwrap_or(u32::MAX);
        let room = timeout_at(deadline, Arc::clone(&self.room).acquire_many_owned(room)).await;
        let Ok(Ok(room)) = room else { return Err(Unread::Busy) };
        match timeout_at(deadline, Limited::new(body, self.largest).collect()).await {
            Ok(Ok(whole)) => Ok((whole.to_bytes(), room)),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
            Ok(Err(_)) | Err(_) => Err(Unread::Broken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_length(length: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, length.parse().unwrap());
        headers
    }

    #[tokio::test]
    async fn what_is_too_large_is_not_read_whatever_it_says_of_itself() {
        let bodies = Bodies::new(16, 4096);
        for length in ["4097", "18446744073709551616", "-1", "many"] {
            let read = bodies.read(&of_length(length), Body::from("x")).await;
            assert_eq!(read.unwrap_err(), Unread::TooLarge, "{length}");
        }
        let read = bodies.read(&HeaderMap::new(), Body::from(vec![0; 4097])).await;
        assert_eq!(read.unwrap_err(), Unread::TooLarge);
        assert_eq!(bodies.read(&of_length("2"), Body::from("it")).await.unwrap().0, "it");
    }

    #[tokio::test]
    async fn whoever_finds_no_room_waits_for_it_and_not_for_ever() {
        let bodies = Bodies::new(5, 4096);
        let (_, held) = bodies.read(&of_length("4096"), Body::from("x")).await.unwrap();
        let read = bodies.read_until(&of_length("1024"), Body::from("x"), Instant::now()).await;
        assert_eq!(read.unwrap_err(), Unread::Busy);
        let waiting = async { bodies.read(&of_length("1024"), Body::from("x")).await.is_ok() };
        let freeing = async {
            tokio::task::yield_now().await;
            drop(held);
        };
        assert!(tokio::join!(waiting, freeing).0);
    }
}
